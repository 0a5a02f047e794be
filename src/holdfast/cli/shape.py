"""Results as JSON values: snake_case, bytes as integers, times RFC 3339 UTC, enums lower case."""

from __future__ import annotations

import base64
import dataclasses
import enum
from collections.abc import Mapping

from holdfast import errors
from holdfast.kit import clock, language
from holdfast.model import notice

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

TIME_SUFFIX = "_ns"


def plain(value: object) -> Json:
    """Any result of an operation. A field `x_ns` becomes the time `x`."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, errors.HoldfastError):
        return error(value)
    if isinstance(value, notice.Notice):
        return {"code": value.code, "message": str(value), "fields": plain(value.fields)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        rows = ((one.name, getattr(value, one.name)) for one in dataclasses.fields(value))
        return dict(_named(name, field) for name, field in rows)
    if isinstance(value, Mapping):
        return {str(name): plain(field) for name, field in value.items()}
    if isinstance(value, (tuple, list, set, frozenset)):
        return [plain(one) for one in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def envelope(kind: str, data: object, now_ns: int) -> dict[str, Json]:
    return {"format": f"holdfast.{kind}/1", "at": moment(now_ns), "data": plain(data)}


def error(found: errors.HoldfastError) -> dict[str, Json]:
    """Code, message and hint in English, and the fields; always English, whoever reads."""
    message, hint = errors.render(found, _english)
    fields = {name: plain(value) for name, value in found.fields.items()}
    return {**fields, "code": found.code, "message": message, "hint": hint}


def moment(at_ns: int | None) -> str | None:
    return None if not at_ns else clock.to_rfc3339(at_ns)


def _named(name: str, value: object) -> tuple[str, Json]:
    if name.endswith(TIME_SUFFIX) and (value is None or isinstance(value, int)):
        return name.removesuffix(TIME_SUFFIX), moment(value)
    return name, plain(value)


def _english(message: str) -> str:
    return language.translate(message, language.ENGLISH)
