"""A table of bad files: the code, the line, the key, and what the hint says."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import errors
from holdfast.config import parse, resolve, schema

GOOD = """\
cluster: studio
engine:
  kind: embedded
  nodes:
    - {name: disk1, path: /mnt/disk1, domain: a}
    - name: disk2
      path: /mnt/disk2
datasets:
  videos: {path: /videos, protect: erasure 4+2, profile: media}
  posts:
    path: /posts
    protect: replicas 3
    quota: 2 TiB
"""
NAME = "use 1 to 64 of"
SIZE = "500 GB, 64 MiB or 2 TiB"
PATH = "write a path such as /videos"
PROTECT = "replicas 3 or erasure 4+2"
FOLDER = "write the path of a folder"

# (what to replace, by what, code, line, key, part of the hint)
BAD = [
    # keys
    ("cluster:", "clutser:", "config.unknown_key", 1, "clutser", "did you mean cluster?"),
    ("datasets:", "Datasets:", "config.unknown_key", 8, "Datasets", "did you mean datasets?"),
    ("path: /mnt/disk2", "pth: /mnt/disk2", "config.unknown_key", 7, "engine.nodes[1].pth",
     "did you mean path? Known here: name, path, domain, weight"),
    ("protect: replicas 3", "protection: replicas 3", "config.unknown_key", 12,
     "datasets.posts.protection", "did you mean protect?"),
    ("quota: 2 TiB", "zzz: 2 TiB", "config.unknown_key", 13, "datasets.posts.zzz",
     "remove it. Known here: path, protect, profile, quota, min_margin"),
    ("cluster: studio\n", "cluster: studio\nweight: 1\n", "config.unknown_key", 2, "weight",
     "it is known as engine.nodes[].weight: check the indentation"),
    ("cluster: studio\n", "cluster: studio\nprofile: media\n", "config.unknown_key", 2, "profile",
     "it is known as datasets.NAME.profile"),
    ("cluster: studio\n", "", "config.missing_key", 1, "cluster", "add it, such as cluster: studio"),
    ("      path: /mnt/disk2\n", "", "config.missing_key", 6, "engine.nodes[1].path",
     "path: /mnt/disk1"),
    ("  kind: embedded\n", "", "config.missing_key", 2, "engine.kind", "kind: embedded"),
    ("    protect: replicas 3\n", "", "config.missing_key", 10, "datasets.posts.protect",
     "protect: erasure 4+2"),
    # later releases
    ("datasets:", "backups: {}\ndatasets:", "config.unknown_key", 8, "backups",
     "this release does not have backups yet"),
    ("datasets:", "repositories: {}\ndatasets:", "config.unknown_key", 8, "repositories",
     "this release does not have"),
    ("datasets:", "autopilot: {}\ndatasets:", "config.unknown_key", 8, "autopilot",
     "this release does not have"),
    ("datasets:", "notify: []\ndatasets:", "config.unknown_key", 8, "notify",
     "this release does not have"),
    ("datasets:", "console: {}\ndatasets:", "config.unknown_key", 8, "console",
     "this release does not have"),
    ("  kind: embedded", "  attach: {}\n  kind: embedded", "config.unknown_key", 3, "engine.attach",
     "this release does not have attach yet"),
    ("kind: embedded", "kind: hdfs", "config.not_in_release", 3, "engine.kind", "kind: embedded"),
    # values
    ("cluster: studio", "cluster: Studio", "config.bad_value", 1, "cluster", "use 1 to 40 of"),
    ("cluster: studio", "cluster: 2024", "config.bad_value", 1, "cluster", "number in quotes"),
    ("cluster: studio", "cluster: " + "x" * 41, "config.bad_value", 1, "cluster", "use 1 to 40 of"),
    ("cluster: studio", "cluster:", "config.bad_value", 1, "cluster", "use 1 to 40 of"),
    ("kind: embedded", "kind: emebdded", "config.bad_value", 3, "engine.kind", "write embedded"),
    ("kind: embedded", "kind: memory", "config.bad_value", 3, "engine.kind", "write embedded"),
    ("kind: embedded", "kind: [embedded]", "config.bad_value", 3, "engine.kind", "write embedded"),
    ("name: disk2", "name: disk 2", "config.bad_value", 6, "engine.nodes[1].name", NAME),
    ("name: disk2", "name: -disk2", "config.bad_value", 6, "engine.nodes[1].name", NAME),
    ("name: disk2", "name: " + "d" * 65, "config.bad_value", 6, "engine.nodes[1].name", NAME),
    ("path: /mnt/disk2", "path: ''", "config.bad_value", 7, "engine.nodes[1].path", FOLDER),
    ("path: /mnt/disk2", "path: ~/disk2", "config.bad_value", 7, "engine.nodes[1].path", "~ is not"),
    ("path: /mnt/disk2", 'path: "/mnt/a\\0b"', "config.bad_value", 7, "engine.nodes[1].path", FOLDER),
    ("path: /mnt/disk2", 'path: "/a\\ud800"', "config.bad_value", 7, "engine.nodes[1].path", FOLDER),
    ("domain: a}", "domain: a//b}", "config.bad_value", 5, "engine.nodes[0].domain", "rack1/host2"),
    ("domain: a}", "domain: 1}", "config.bad_value", 5, "engine.nodes[0].domain", "in quotes"),
    ("domain: a}", "weight: 0}", "config.bad_value", 5, "engine.nodes[0].weight", SIZE),
    ("domain: a}", "weight: heavy}", "config.bad_value", 5, "engine.nodes[0].weight", SIZE),
    ("path: /posts", "path: posts", "config.bad_value", 11, "datasets.posts.path", PATH),
    ("path: /posts", "path: /", "config.bad_value", 11, "datasets.posts.path", PATH),
    ("path: /posts", "path: /a/../b", "config.bad_value", 11, "datasets.posts.path", PATH),
    ("path: /posts", "path: /a/./b", "config.bad_value", 11, "datasets.posts.path", PATH),
    ("path: /posts", "path: /a/.snapshot", "config.bad_value", 11, "datasets.posts.path", PATH),
    ("path: /posts", 'path: "/a\\nb"', "config.bad_value", 11, "datasets.posts.path", PATH),
    ("path: /posts", 'path: "/\\ud800"', "config.bad_value", 11, "datasets.posts.path", PATH),
    ("path: /posts", "path: /" + "x" * 256, "config.bad_value", 11, "datasets.posts.path", PATH),
    ("replicas 3", "replica 3", "config.bad_value", 12, "datasets.posts.protect", PROTECT),
    ("replicas 3", "replicas 0", "config.bad_value", 12, "datasets.posts.protect", PROTECT),
    ("replicas 3", "replicas 65", "config.bad_value", 12, "datasets.posts.protect", PROTECT),
    ("replicas 3", "3", "config.bad_value", 12, "datasets.posts.protect", PROTECT),
    ("erasure 4+2", "erasure 0+2", "config.bad_value", 9, "datasets.videos.protect", PROTECT),
    ("erasure 4+2", "erasure 4+0", "config.bad_value", 9, "datasets.videos.protect", PROTECT),
    ("erasure 4+2", "erasure 60+5", "config.bad_value", 9, "datasets.videos.protect", PROTECT),
    ("erasure 4+2", "erasure " + "9" * 5000 + "+2", "config.bad_value", 9,
     "datasets.videos.protect", PROTECT),
    ("profile: media", "profile: movies", "config.bad_value", 9, "datasets.videos.profile",
     "general, media or records"),
    ("quota: 2 TiB", "quota: a lot", "config.bad_value", 13, "datasets.posts.quota", SIZE),
    ("quota: 2 TiB", "quota: 0", "config.bad_value", 13, "datasets.posts.quota", SIZE),
    ("quota: 2 TiB", "quota: -5", "config.bad_value", 13, "datasets.posts.quota", SIZE),
    ("quota: 2 TiB", "quota: 1.5", "config.bad_value", 13, "datasets.posts.quota", SIZE),
    ("quota: 2 TiB", "quota: 16 EiB", "config.bad_value", 13, "datasets.posts.quota", SIZE),
    ("quota: 2 TiB", "quota: " + "9" * 39, "config.bad_value", 13, "datasets.posts.quota", SIZE),
    ("quota: 2 TiB", "quota: " + "9" * 4000, "config.bad_value", 13, "datasets.posts.quota", SIZE),
    ("quota: 2 TiB", "quota: true", "config.bad_value", 13, "datasets.posts.quota", SIZE),
    ("quota: 2 TiB", "min_margin: -1", "config.bad_value", 13, "datasets.posts.min_margin",
     "whole number"),
    ("quota: 2 TiB", "min_margin: 3", "config.margin_too_high", 13, "datasets.posts.min_margin",
     "lower it to 2"),
    # groups
    ("  posts:\n", "  po sts:\n", "config.bad_name", 10, "datasets.po sts", NAME),
    ("  videos: {path: /videos, protect: erasure 4+2, profile: media}\n", "  videos: /videos\n",
     "config.bad_value", 9, "datasets.videos", "write each dataset under its name"),
    ("    - name: disk2\n      path: /mnt/disk2\n", "    - /mnt/disk2\n", "config.bad_value", 6,
     "engine.nodes[1]", "{name: disk1, path: /mnt/disk1}"),
    # keys that do not go together
    ("name: disk2", "name: disk1", "config.duplicate_node", 6, "engine.nodes[1].name", "of its own"),
    ("path: /mnt/disk2", "path: /mnt/disk1", "config.nodes_overlap", 7, "engine.nodes[1].path",
     "a folder of its own"),
    ("path: /mnt/disk2", "path: /mnt/disk1/b", "config.nodes_overlap", 7, "engine.nodes[1].path",
     "a folder of its own"),
    ("path: /mnt/disk2", "path: /mnt", "config.nodes_overlap", 7, "engine.nodes[1].path",
     "a folder of its own"),
    ("path: /mnt/disk2", "path: //mnt/x/..//disk1/", "config.nodes_overlap", 7,
     "engine.nodes[1].path", "a folder of its own"),
    ("path: /posts", "path: /videos/", "config.datasets_overlap", 11, "datasets.posts.path", "move"),
    ("path: /posts", "path: /videos/posts", "config.datasets_overlap", 11, "datasets.posts.path",
     "no dataset may lie inside another"),
    ("cluster: studio\n", "cluster: studio\nstate: /mnt/disk1/state\n", "config.state_in_node", 6,
     "engine.nodes[0].path", "outside of every node"),
]


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "key", "hint"), BAD,
    ids=[f"{case[2]}-{number}" for number, case in enumerate(BAD)],
)
def test_a_bad_file_names_line_key_and_what_to_write(
    old: str, new: str, code: str, line: int, key: str, hint: str
) -> None:
    text = GOOD.replace(old, new, 1)
    assert text != GOOD

    message, said = _refusal(text)

    assert (message.code, message.fields["line"], message.fields["key"]) == (code, line, key)
    assert f"line {line}" in str(message)
    assert hint in said


def test_the_good_file_of_the_table_is_good() -> None:
    assert resolve.resolve(parse.parse(GOOD, Path("/e/holdfast.yaml")), {}, {}).spec.datasets


def test_the_message_reads_as_a_sentence() -> None:
    message, hint = _refusal(GOOD.replace("replicas 3", "replica 3"))

    assert str(message) == (
        '/e/holdfast.yaml, line 12: datasets.posts.protect cannot be "replica 3"'
    )
    assert hint.startswith("write replicas R or erasure K+M, such as replicas 3 or erasure 4+2")


def test_a_mistyped_key_is_told_before_the_one_that_it_makes_missing() -> None:
    message, _ = _refusal(GOOD.replace("name: disk2", "nmae: disk2"))

    assert message.fields["key"] == "engine.nodes[1].nmae"


def test_of_several_faults_the_first_in_the_file_is_told() -> None:
    message, _ = _refusal(GOOD.replace("profile: media", "profile: x").replace("studio", "ST"))

    assert message.fields["key"] == "cluster"


def test_datasets_that_only_look_alike_do_not_overlap() -> None:
    text = GOOD.replace("path: /posts", "path: /videos-old")

    effective = resolve.resolve(parse.parse(text, Path("/e/holdfast.yaml")), {}, {})

    assert [dataset.path for dataset in effective.spec.datasets] == ["/videos", "/videos-old"]


@pytest.mark.parametrize("missing", ["engine", "nodes"])
def test_a_missing_group_names_the_example(missing: str) -> None:
    text = "cluster: a\n" if missing == "engine" else "cluster: a\nengine: {kind: embedded}\n"

    message, hint = _refusal(text)

    assert message.code == "config.missing_key"
    assert "holdfast config example" in hint


@pytest.mark.parametrize("written", ["", "[]", "null", "/mnt/a"])
def test_an_engine_without_nodes_is_refused(written: str) -> None:
    message, hint = _refusal(f"cluster: a\nengine:\n  kind: embedded\n  nodes: {written}\n")

    assert (message.code, message.fields["line"]) == ("config.bad_value", 4)
    assert "at least one node" in hint


def test_the_hints_of_the_schema_have_no_fields() -> None:
    for hint in schema.hints():
        assert errors.fill(hint, {})


def _refusal(text: str) -> tuple[errors.ConfigError, str]:
    with pytest.raises(errors.ConfigError) as caught:
        resolve.resolve(parse.parse(text, Path("/e/holdfast.yaml")), {}, {})
    return caught.value, errors.render(caught.value, str)[1]
