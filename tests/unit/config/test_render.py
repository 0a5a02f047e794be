"""`config show`: each effective value and where it came from."""

from __future__ import annotations

import json
from pathlib import Path

from holdfast.config import parse, render, resolve

TEXT = """\
cluster: studio
engine:
  kind: embedded
  nodes:
    - {name: disk1, path: /mnt/disk1}
datasets:
  posts: {path: /posts, protect: replicas 1, quota: 500 GB}
"""


def test_rows_are_in_the_order_of_the_file() -> None:
    assert [row.key for row in render.show(_effective())] == [
        "cluster", "state", "engine.kind", "engine.nodes[0].name", "engine.nodes[0].path",
        "engine.nodes[0].domain", "engine.nodes[0].weight", "datasets.posts.path",
        "datasets.posts.protect", "datasets.posts.profile", "datasets.posts.shard_bytes",
        "datasets.posts.quota", "datasets.posts.min_margin",
    ]


def test_a_size_is_shown_with_its_exact_bytes() -> None:
    rows = {row.key: row for row in render.show(_effective())}

    quota = rows["datasets.posts.quota"]
    assert quota.value == 500 * 10**9
    assert quota.shown == "465.7 GiB (500000000000 bytes)"
    assert quota.origin == "file holdfast.yaml:7"


def test_what_is_not_set_is_a_dash_for_people_and_null_for_programs() -> None:
    rows = {row.key: row for row in render.show(_effective())}

    assert rows["datasets.posts.min_margin"].shown == "-"
    assert rows["datasets.posts.min_margin"].value is None
    assert rows["datasets.posts.min_margin"].origin == "default"


def test_the_plain_data_has_what_the_rows_have() -> None:
    effective = _effective()

    data = json.loads(json.dumps(render.show_data(effective)))

    assert data == [
        {"key": row.key, "value": row.value, "origin": row.origin} for row in render.show(effective)
    ]


def _effective() -> resolve.Effective:
    return resolve.resolve(parse.parse(TEXT, Path("/e/holdfast.yaml")), {}, {})
