"""What is generated from the schema: the JSON Schema, the commented example, the reference page.

`python -m holdfast.config json-schema|example|reference` prints each; a test holds the copies in
the package and in docs/reference current.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

from holdfast.config import diagnose, document, load, resolve, schema

_WIDTH = 96
_NODES = (("disk1", "shelf-a"), ("disk2", "shelf-a"), ("disk3", "shelf-b"), ("disk4", "shelf-b"),
          ("disk5", "shelf-c"), ("disk6", "shelf-c"))
_EXAMPLE: dict[str, document.Value] = {
    "cluster": "studio",
    "engine": {
        "kind": "embedded",
        "nodes": [
            {"name": name, "path": f"/mnt/{name}", "domain": domain} for name, domain in _NODES
        ],
    },
    "datasets": {
        "videos": {"path": "/videos", "protect": "erasure 4+2", "profile": "media"},
        "posts": {
            "path": "/posts", "protect": "replicas 3", "profile": "records", "quota": "2 TiB",
        },
    },
}


def json_schema() -> str:
    """The JSON Schema of the file, holdfast.schema.json of the package."""
    return json.dumps(schema.json_schema(), indent=2, ensure_ascii=False) + "\n"


def example() -> str:
    """A whole file with a comment for every key. It loads as it is."""
    return "\n".join(_group((), _EXAMPLE, "")).strip() + "\n"


def reference() -> str:
    """docs/reference/configuration.md."""
    introduction = _INTRODUCTION.replace("{example}", example())
    return f"{introduction}\n\n{_tables()}\n\n{_overrides()}\n\n{_later()}\n"


def _group(
    pattern: document.KeyPath, values: dict[str, document.Value], indent: str
) -> Iterator[str]:
    """Every key under a pattern: those with a value as they are, the others as comments."""
    for key in _keys_under(pattern):
        name = str(key.path[-1])
        yield from _comment(_told(key), indent)
        if name not in values:
            yield f"{indent}# {name}: {key.note.example}"
        else:
            yield from _key(key, name, values[name], indent)
        if not indent:
            yield ""


def _key(key: schema.Key, name: str, value: document.Value, indent: str) -> Iterator[str]:
    if isinstance(value, list):
        yield f"{indent}{name}:"
        first, *others = (item for item in value if isinstance(item, dict))
        lines = list(_group((*key.path, schema.ANY), first, ""))
        yield from _item([line for line in lines if line], indent + "  ")
        yield from (f"{indent}  - {_flow(item)}" for item in others)
    elif isinstance(value, dict) and key.note.many:
        yield f"{indent}{name}:"
        (first_name, first_value), *rest = value.items()
        assert isinstance(first_value, dict)
        yield f"{indent}  {first_name}:"
        yield from _group((*key.path, schema.ANY), first_value, indent + "    ")
        yield from (f"{indent}  {other}: {_flow(item)}" for other, item in rest)
    elif isinstance(value, dict):
        yield f"{indent}{name}:"
        yield from _group(key.path, value, indent + "  ")
    else:
        yield f"{indent}{name}: {value}"


def _item(lines: list[str], indent: str) -> Iterator[str]:
    """An item of a list: the dash stands before its first key."""
    started = False
    for line in lines:
        dash = "- " if not started and not line.startswith("#") else "  "
        started = started or dash == "- "
        yield f"{indent}{dash}{line}"


def _flow(value: document.Value) -> str:
    assert isinstance(value, dict)
    return "{" + ", ".join(f"{name}: {item}" for name, item in value.items()) + "}"


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - len(indent) - 4):
        yield f"{indent}# {line}"


def _told(key: schema.Key) -> str:
    if key.required:
        return key.description
    default = key.note.otherwise if key.default is None else str(key.default)
    return f"{key.description} Default: {default}."


def _keys_under(pattern: document.KeyPath) -> tuple[schema.Key, ...]:
    return tuple(key for key in schema.every_key() if key.path[:-1] == pattern)


def _tables() -> str:
    parts = ["## Keys", _table(())]
    for key in schema.every_key():
        if key.note.section is None:
            continue
        pattern = (*key.path, schema.ANY) if key.note.many else key.path
        title = diagnose.pattern(pattern).removesuffix(".NAME")
        parts += [f"### `{title}`", (key.note.section.__doc__ or "").strip(), _table(pattern)]
    return "\n\n".join(parts)


def _table(pattern: document.KeyPath) -> str:
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in _keys_under(pattern):
        kind = key.note.kind + (f" ({key.note.unit})" if key.note.unit else "")
        default = "required" if key.required else (
            key.note.otherwise if key.default is None else f"`{key.default}`"
        )
        such = f" Such as `{key.note.example}`." if key.note.section is None else ""
        rows.append(f"| `{key.path[-1]}` | {kind} | {default} | {key.description}{such} |")
    return "\n".join(rows)


def _overrides() -> str:
    rows = [
        "| variable | flag | key | meaning |",
        "|---|---|---|---|",
        f"| `{load.FILE_VARIABLE}` | `-f` | | The file to read. |",
        *(
            f"| `{one.variable}` | `{one.flag}` | `{one.key}` | {one.description} |"
            for one in resolve.OVERRIDES
        ),
    ]
    return "\n".join((
        "## Environment and flags", "", *rows, "", "A variable that is empty counts as not set.",
    ))


def _later() -> str:
    names = ", ".join(f"`{document.dotted(path)}`" for path in sorted(schema.LATER))
    kinds = ", ".join(f"`kind: {kind}`" for kind in sorted(schema.LATER_KINDS))
    return (
        "## Not in this release\n\n"
        f"These keys are refused, and the hint says that they come later: {names}, {kinds}."
    )


_INTRODUCTION = f"""\
<!-- Generated from the schema: python -m holdfast.config reference. Do not edit by hand. -->
# The user's file

One YAML file says what is to be kept and how well. holdfast reads the file that `-f FILE` names,
else the one that `{load.FILE_VARIABLE}` names, else `./{load.FILE_NAME}`, else
`$XDG_CONFIG_HOME/holdfast/{load.FILE_NAME}` (by default `~/.config/holdfast/{load.FILE_NAME}`).
`holdfast init FOLDER...` writes one, `holdfast config example` prints one with every key explained,
and `holdfast config show` prints every effective value and where it came from.

The smallest file:

```yaml
cluster: main
engine:
  kind: embedded
  nodes:
    - {{name: d1, path: /mnt/d1}}
datasets:
  data: {{path: /data, protect: replicas 1}}
```

A file with every key:

```yaml
{{example}}```

## Rules

- A value comes from the strongest of: default, profile, file, environment, flag. `config show`
  names it as `default`, `profile media`, `file {load.FILE_NAME}:12` (the line),
  `env HOLDFAST_STATE` or `flag --state`.
- A key that is not known, a key that is there twice and a value of the wrong type are errors that
  name the file, the line and the key, and what may be written.
- A relative path starts at the folder of the file; `~` is refused, since it means another folder
  under sudo.
- A size is a number and a unit: `500 MB` is decimal, `500 MiB` and `500 M` are binary; a number
  alone is bytes.
- Names of nodes, domains and datasets: 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a
  letter or digit.
- No dataset lies inside another, no node inside another, and the state folder and a node lie
  outside of each other.
- The size of a dataset's shards follows from its profile; `config show` prints it as
  `shard_bytes`.\
"""
