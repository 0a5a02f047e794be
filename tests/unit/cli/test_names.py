from __future__ import annotations

import pytest
from tests.unit.cli import harness


def fill(runner: harness.Runner, *paths: str) -> None:
    for path in paths:
        runner.ok("put", "-", path, stdin=path.encode())


def test_ls_without_a_path_lists_the_datasets(runner: harness.Runner) -> None:
    assert runner.ok("ls").out == "/data/\n/other/\n/videos/\n"


def test_ls_lists_one_level_and_recursively_all_of_them(runner: harness.Runner) -> None:
    fill(runner, "/data/a", "/data/sub/b", "/data/sub/deep/c")

    assert runner.ok("ls", "/data/").out == "/data/a\n/data/sub/\n"
    assert runner.ok("ls", "-R", "/data").out.splitlines() == [
        "/data/a", "/data/sub/", "/data/sub/b", "/data/sub/deep/", "/data/sub/deep/c",
    ]


def test_ls_long_shows_margin_size_and_time(runner: harness.Runner) -> None:
    fill(runner, "/data/a")

    (line,) = runner.ok("ls", "-l", "/data").out.splitlines()

    margin, size, moment, path = line.split()
    assert (margin, size, path) == ("0", "7", "/data/a")
    assert moment.endswith("Z")


def test_ls_of_json_is_one_document(runner: harness.Runner) -> None:
    fill(runner, "/data/a", "/data/b")

    document = runner.ok("ls", "/data", "--json").document

    assert document["format"] == "holdfast.ls/1"
    data = document["data"]
    assert isinstance(data, dict)
    assert [row["path"] for row in data["entries"]] == ["/data/a", "/data/b"]
    assert runner.ok("--json", "ls", "/other").document["data"] == {"entries": []}


def test_ls_of_what_is_not_there_is_exit_code_4_and_still_json(runner: harness.Runner) -> None:
    ran = runner.run("ls", "/data/none", "--json")

    assert ran.code == 4
    error = ran.document["error"]
    assert isinstance(error, dict)
    assert error["code"] == "object.not_found"
    assert error["hint"]


def test_ls_reads_a_snapshot(runner: harness.Runner) -> None:
    fill(runner, "/data/a")
    runner.ok("snapshot", "create", "data", "before")
    runner.ok("rm", "/data/a")

    assert runner.ok("ls", "/data").out == ""
    assert runner.ok("ls", "/data/.snapshot/before/").out == "/data/.snapshot/before/a\n"
    assert runner.ok("cat", "/data/.snapshot/before/a").out == "/data/a"


def test_stat_with_shards_shows_where_each_lies(runner: harness.Runner) -> None:
    fill(runner, "/data/a")

    ran = runner.ok("stat", "--shards", "--json", "/data/a")

    data = ran.document["data"]
    assert isinstance(data, dict)
    (entry,) = data["entries"]
    assert entry["info"]["size_bytes"] == 7
    (shard,) = entry["shards"]
    assert (shard["offset"], shard["length"], len(shard["nodes"])) == (0, 7, 1)
    assert "size:" in runner.ok("stat", "/data/a").out


def test_rm_removes_nothing_when_one_path_is_not_there(runner: harness.Runner) -> None:
    fill(runner, "/data/a")

    ran = runner.run("rm", "/data/a", "/data/none")

    assert ran.code == 4
    assert runner.ok("ls", "/data").out == "/data/a\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("rm", "/data/sub"), "folder.not_empty"),
        (("rm", "-r", "/data"), "rm.dataset"),
        (("rm", "-r", "/"), "rm.dataset"),
        (("mv", "/data/sub", "/data/sub/deeper"), "rename.into_itself"),
        (("mv", "/data/a", "/data/sub/b"), "object.exists"),
        (("mv", "/data/a", "/videos/a"), "move.protection_differs"),
        (("mv", "/data/a", "/nowhere/a"), "dataset.none"),
        (("mv", "/data", "/other/x"), "move.dataset"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value[:1]),
)
def test_what_is_refused_changes_nothing(
    runner: harness.Runner, arguments: tuple[str, ...], code: str
) -> None:
    fill(runner, "/data/a", "/data/sub/b")
    before = runner.ok("find", "/", "--json").document["data"]

    ran = runner.run(*arguments, "--json")

    error = ran.lines[-1]["error"]
    assert isinstance(error, dict)
    assert (ran.code, error["code"]) == (5, code)
    assert runner.ok("find", "/", "--json").document["data"] == before


def test_rm_takes_globs_and_folders(runner: harness.Runner) -> None:
    fill(runner, "/data/a.tmp", "/data/b.tmp", "/data/c", "/data/sub/d")

    runner.ok("rm", "/data/*.tmp")
    runner.ok("rm", "-r", "/data/sub")

    assert runner.ok("ls", "-R", "/data").out == "/data/c\n"


def test_mv_renames_within_a_dataset_and_into_a_folder(runner: harness.Runner) -> None:
    fill(runner, "/data/a", "/data/sub/b")

    runner.ok("mv", "/data/a", "/data/c")
    runner.ok("mv", "/data/c", "/data/sub")

    assert runner.ok("ls", "/data/sub").out == "/data/sub/b\n/data/sub/c\n"


def test_mv_across_datasets_copies_folders_with_their_attributes(runner: harness.Runner) -> None:
    fill(runner, "/data/tree/a", "/data/tree/deep/b")
    before = runner.ok("stat", "/data/tree/a", "--json").document["data"]

    runner.ok("mv", "/data/tree", "/other/")

    assert runner.ok("cat", "/other/tree/deep/b").out == "/data/tree/deep/b"
    assert runner.ok("ls", "/data").out == ""
    after = runner.ok("stat", "/other/tree/a", "--json").document["data"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    old, new = before["entries"][0]["info"], after["entries"][0]["info"]
    assert (old["digest"], old["modified"]) == (new["digest"], new["modified"])


def test_mv_changes_protection_only_when_asked(runner: harness.Runner) -> None:
    fill(runner, "/data/a")

    refused = runner.run("mv", "/data/a", "/videos/a")
    runner.ok("mv", "--change-protection", "/data/a", "/videos/a")

    assert "replicas 1" in refused.err
    assert "erasure 4+2" in refused.err
    assert "--change-protection" in refused.err
    assert runner.ok("cat", "/videos/a").out == "/data/a"


def test_find_searches_by_name_size_kind_and_age(runner: harness.Runner) -> None:
    fill(runner, "/data/a.jpg", "/data/sub/b.jpg")
    runner.ok("put", "-", "/data/large.bin", stdin=bytes(5000))

    def found(*arguments: str) -> list[str]:
        return runner.ok("find", "/data", *arguments).out.splitlines()

    assert found("--name", "*.jpg") == ["/data/a.jpg", "/data/sub/b.jpg"]
    assert found("--size", "+4k") == ["/data/large.bin"]
    assert found("--size", "5000") == ["/data/large.bin"]
    assert found("--type", "d") == ["/data/", "/data/sub/"]
    assert found("--name", "a*", "--newer", "1h") == ["/data/a.jpg"]
    assert found("--newer", "2999-01-01", "--type", "f") == []


def test_find_with_a_time_that_is_none_is_exit_code_2(runner: harness.Runner) -> None:
    ran = runner.run("find", "/data", "--newer", "soon")

    assert ran.code == 2
    assert "soon" in ran.err
