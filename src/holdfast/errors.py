"""Every error that holdfast raises on purpose: one tree, one exit code per branch.

    HoldfastError            1   failed
    ├── ConfigError          2   the user's file or the command line is wrong: key, line, hint
    ├── PartialError         3   partly done; what was not is listed
    ├── NotFoundError        4   no such object, snapshot, node
    ├── RefusedError         5   refused (guard, capability, already there, quota, space); nothing was changed
    │   └── PlacementError   5   the topology cannot carry the protection
    ├── UnavailableError     7   unreachable, or a lock or lease is held; may pass: the only class that is retried
    ├── IntegrityError       8   bytes disagree; never retried, always journaled
    ├── NotInitialisedError  10  there is no store here yet
    ├── AuthError            12  wrong password, key or permission
    └── BugError             70  an invariant broke: traceback, and how to report it

An error carries a stable `code` (`placement.too_few_nodes`), an English template, a hint that names
the next command or the key to mend, and the fields of both templates. Faces render it in the
reader's language with `render`; the journal stores code and fields only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

Field = str | int | float | bool | None | tuple[str, ...]


class HoldfastError(Exception):
    """Base of the tree. `message` and `hint` are `str.format` templates over `fields`."""

    exit_code = 1

    def __init__(self, code: str, message: str, *, hint: str = "", **fields: Field) -> None:
        self.code = code
        self.message = message
        self.hint = hint
        self.fields: Mapping[str, Field] = fields
        super().__init__(code)

    def __str__(self) -> str:
        return fill(self.message, self.fields)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.code, self.message, self.hint, dict(self.fields))


class ConfigError(HoldfastError):
    exit_code = 2


class PartialError(HoldfastError):
    exit_code = 3


class NotFoundError(HoldfastError):
    exit_code = 4


class RefusedError(HoldfastError):
    """Nothing was changed."""

    exit_code = 5


class PlacementError(RefusedError):
    """The nodes and domains that there are cannot carry the protection that is asked for."""


class UnavailableError(HoldfastError):
    exit_code = 7


class IntegrityError(HoldfastError):
    exit_code = 8


class NotInitialisedError(HoldfastError):
    exit_code = 10


class AuthError(HoldfastError):
    exit_code = 12


class BugError(HoldfastError):
    exit_code = 70


def fill(template: str, fields: Mapping[str, Field]) -> str:
    """The template with its fields; lists are joined with commas."""
    shown = {
        name: ", ".join(value) if isinstance(value, tuple) else value
        for name, value in fields.items()
    }
    return template.format(**shown)


def render(error: HoldfastError, translate: Callable[[str], str]) -> tuple[str, str]:
    """(message, hint) in the language of `translate`, which maps an English template to another."""
    message = fill(translate(error.message), error.fields)
    hint = fill(translate(error.hint), error.fields) if error.hint else ""
    return message, hint


def _rebuild(
    kind: type[HoldfastError], code: str, message: str, hint: str, fields: dict[str, Field]
) -> HoldfastError:
    return kind(code, message, hint=hint, **fields)
