"""Find the user's file and read it. What the keys mean is not decided here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from holdfast import errors
from holdfast.config import document

FILE_NAME = "holdfast.yaml"
FILE_VARIABLE = "HOLDFAST_FILE"
SIZE_BYTES_MAX = 1 << 20

Document = document.Document


def find(explicit: str | None, environ: Mapping[str, str]) -> Path:
    """The file that -f names, else HOLDFAST_FILE, else ./holdfast.yaml, else the XDG one.

    The first two are not looked at: `load` says what is wrong with them. Raises ConfigError when
    none is named and none is there.
    """
    named = explicit if explicit is not None else environ.get(FILE_VARIABLE) or None
    if named is not None:
        return Path(os.path.abspath(named))
    places = (Path(FILE_NAME), user_file(environ))
    for place in places:
        if os.path.lexists(place):
            return Path(os.path.abspath(place))
    raise errors.ConfigError(
        "config.none", "there is no {name} here, nor {user_file}",
        hint="write one with holdfast init FOLDER..., or name yours with -f FILE or {variable}",
        name=FILE_NAME, user_file=str(places[1]), variable=FILE_VARIABLE,
    )


def user_file(environ: Mapping[str, str]) -> Path:
    """The file of this user: in $XDG_CONFIG_HOME, by default ~/.config."""
    folder = environ.get("XDG_CONFIG_HOME", "")
    base = Path(folder) if os.path.isabs(folder) else Path(environ.get("HOME") or "/") / ".config"
    return base / "holdfast" / FILE_NAME


def load(path: Path) -> Document:
    """Plain values with their lines. Raises ConfigError for whatever is not a YAML mapping."""
    from holdfast.config import parse  # noqa: PLC0415 - ruamel loads on use

    absolute = Path(os.path.abspath(path))
    return parse.parse(_decode(_read(absolute), absolute), absolute)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise errors.ConfigError(
            "config.no_file", "{file} is not there",
            hint="write one with holdfast init FOLDER..., or name another with -f FILE",
            file=document.visible(str(path)),
        ) from None
    except IsADirectoryError:
        raise errors.ConfigError(
            "config.is_folder", "{file} is a folder, not a file",
            hint="name the file in it, such as -f {file}/holdfast.yaml",
            file=document.visible(str(path)),
        ) from None
    except (OSError, ValueError) as error:
        raise errors.ConfigError(
            "config.unreadable", "{file} cannot be read: {reason}",
            hint="check its name and its permissions with ls -l {file}",
            file=document.visible(str(path)),
            reason=getattr(error, "strerror", None) or str(error),
        ) from error
    if len(raw) > SIZE_BYTES_MAX:
        raise errors.ConfigError(
            "config.too_big", "{file} is larger than {limit} bytes",
            hint="check that -f names holdfast's own file, not a file of data",
            file=document.visible(str(path)), limit=SIZE_BYTES_MAX,
        )
    return raw


def _decode(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.ConfigError(
            "config.not_utf8", "{file}, line {line}: this is not UTF-8 text",
            hint="save the file as UTF-8; iconv -f OLD -t UTF-8 converts it",
            file=document.visible(str(path)), line=raw.count(b"\n", 0, error.start) + 1,
        ) from error
