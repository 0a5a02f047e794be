"""Faults of single keys as errors that name the file, the line, the key, and what to write."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from holdfast import errors
from holdfast.config import document, schema

_ORDER = (schema.Problem.UNKNOWN, schema.Problem.NAME, schema.Problem.VALUE, schema.Problem.MISSING)


def error_of(faults: Sequence[schema.Fault], read: document.Document) -> errors.ConfigError:
    """The error to mend first: a mistyped key explains the one that is missing."""
    fault = min(faults, key=lambda one: (_ORDER.index(one.problem), read.key_line(one.path)))
    if fault.problem is schema.Problem.UNKNOWN:
        return _unknown(fault.path, read)
    if fault.problem is schema.Problem.NAME:
        return _bad_name(fault.path, read)
    if fault.problem is schema.Problem.MISSING:
        return _missing(fault.path, read)
    return bad_value(fault.path, read)


def bad_value(path: document.KeyPath, read: document.Document) -> errors.ConfigError:
    """Of a key whose value cannot be what it is. The hint is the key's own, from the schema."""
    value = _value_at(path, read)
    if path == ("engine", "kind") and value in schema.LATER_KINDS:
        return errors.ConfigError(
            "config.not_in_release",
            "{file}, line {line}: this release does not have the engine {value} yet",
            hint="write kind: embedded",
            **read.place(path), value=str(value),
        )
    key = schema.key_at(path) or schema.key_at(path[:-1])
    assert key is not None, path
    return errors.ConfigError(
        "config.bad_value", "{file}, line {line}: {key} cannot be {value}",
        hint=key.note.hint, **read.place(path), value=document.shown(value),
    )


def _unknown(path: document.KeyPath, read: document.Document) -> errors.ConfigError:
    name, above = str(path[-1]), path[:-1]
    known = _names_under(above)
    place = read.place(path)
    if path in schema.LATER:
        return errors.ConfigError(
            "config.unknown_key", "{file}, line {line}: {key} is not a key that is known here",
            hint="this release does not have {name} yet: remove it, with what is under it",
            **place, name=name,
        )
    if near := difflib.get_close_matches(name.lower(), known, n=1):
        return errors.ConfigError(
            "config.unknown_key", "{file}, line {line}: {key} is not a key that is known here",
            hint="did you mean {nearest}? Known here: {known}",
            **place, nearest=near[0], known=known,
        )
    elsewhere = [key.path for key in schema.every_key() if key.path[-1] == name]
    if elsewhere:
        return errors.ConfigError(
            "config.unknown_key", "{file}, line {line}: {key} is not a key that is known here",
            hint="it is known as {elsewhere}: check the indentation. Known here: {known}",
            **place, elsewhere=" or ".join(pattern(path) for path in elsewhere), known=known,
        )
    return errors.ConfigError(
        "config.unknown_key", "{file}, line {line}: {key} is not a key that is known here",
        hint="remove it. Known here: {known}", **place, known=known,
    )


def _bad_name(path: document.KeyPath, read: document.Document) -> errors.ConfigError:
    return errors.ConfigError(
        "config.bad_name", "{file}, line {line}: {name} cannot be the name of a dataset",
        hint="use 1 to 64 of A-Z, a-z, 0-9, . _ and -, beginning with a letter or digit",
        **read.place(path), name=document.shown(str(path[-1])),
    )


def _missing(path: document.KeyPath, read: document.Document) -> errors.ConfigError:
    key = schema.key_at(path)
    assert key is not None, path
    if key.note.section is not None:
        return errors.ConfigError(
            "config.missing_key", "{file}, line {line}: {key} is missing",
            hint="add it; holdfast config example prints an example", **read.place(path),
        )
    return errors.ConfigError(
        "config.missing_key", "{file}, line {line}: {key} is missing",
        hint="add it, such as {name}: {example}",
        **read.place(path), name=str(path[-1]), example=str(key.note.example),
    )


def pattern(path: document.KeyPath) -> str:
    """A schema's path for people: `engine.nodes[].name`, `datasets.NAME.path`."""
    text = document.dotted(path)
    return text.replace("nodes.*", "nodes[]").replace(".*", ".NAME")


def _names_under(above: document.KeyPath) -> tuple[str, ...]:
    return tuple(
        str(key.path[-1]) for key in schema.every_key()
        if schema.key_at((*above, key.path[-1])) is key
    )


def _value_at(path: document.KeyPath, read: document.Document) -> document.Value:
    value: document.Value = read.values
    for part in path:
        if isinstance(value, dict):
            value = value.get(str(part))
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            return None
    return value
