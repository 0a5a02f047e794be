"""Prints what is generated from the schema: json-schema, example or reference."""

from __future__ import annotations

import sys

from holdfast.config import reference

_TEXTS = {
    "json-schema": reference.json_schema,
    "example": reference.example,
    "reference": reference.reference,
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in _TEXTS:
        sys.stderr.write(f"usage: python -m holdfast.config {'|'.join(_TEXTS)}\n")
        return 2
    sys.stdout.write(_TEXTS[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
