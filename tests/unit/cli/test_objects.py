from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from tests.unit.cli import harness


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def test_a_folder_arrives_under_its_own_name_and_a_trailing_slash_changes_nothing(
    runner: harness.Runner, tmp_path: Path
) -> None:
    photos = harness.make_tree(tmp_path)
    (photos / "link").unlink()

    runner.ok("put", f"{photos}/", "/data/one/")
    runner.ok("put", str(photos), "/data/two")

    for where in ("one", "two"):
        listed = runner.ok("find", f"/data/{where}").out.splitlines()
        assert listed == [
            f"/data/{where}/",
            f"/data/{where}/photos/",
            f"/data/{where}/photos/a.jpg",
            f"/data/{where}/photos/deep/",
            f"/data/{where}/photos/deep/b.jpg",
            f"/data/{where}/photos/empty/",
            f"/data/{where}/photos/large.bin",
        ]


def test_what_was_put_comes_back_with_times_modes_and_empty_folders(
    runner: harness.Runner, tmp_path: Path
) -> None:
    photos = harness.make_tree(tmp_path)
    (photos / "link").unlink()
    (photos / "a.jpg").chmod(0o640)
    os.utime(photos / "a.jpg", ns=(10**18, 10**18 + 7))

    runner.ok("put", str(photos), "/data/")
    runner.ok("get", "/data/photos", str(tmp_path / "out") + "/")

    got = tmp_path / "out" / "photos"
    assert contents(got) == contents(photos)
    assert (got / "empty").is_dir()
    assert stat.S_IMODE((got / "a.jpg").stat().st_mode) == 0o640
    assert (got / "a.jpg").stat().st_mtime_ns == 10**18 + 7


def test_symlinks_and_pipes_are_left_out_and_listed_with_exit_code_3(
    runner: harness.Runner, tmp_path: Path
) -> None:
    photos = harness.make_tree(tmp_path)
    os.mkfifo(photos / "pipe")

    ran = runner.run("put", str(photos), "/data/")

    assert ran.code == 3
    assert f"left out: {photos}/link is a symbolic link" in ran.err
    assert f"left out: {photos}/pipe is a device, socket or pipe" in ran.err
    assert "hint: mend what is listed" in ran.err
    assert runner.ok("cat", "/data/photos/a.jpg").out == "a" * 10


@pytest.mark.parametrize("name", [b"bad\xff", b"new\nline"], ids=["not-utf8", "newline"])
def test_a_name_that_cannot_be_kept_is_left_out_and_the_rest_is_put(
    runner: harness.Runner, tmp_path: Path, name: bytes
) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    (folder / "good").write_bytes(b"good")
    with open(os.fsencode(folder) + b"/" + name, "wb") as file:
        file.write(b"bad")

    ran = runner.run("put", str(folder), "/data/")

    assert ran.code == 3
    assert runner.ok("ls", "/data/names").out == "/data/names/good\n"


def test_putting_again_needs_overwrite(runner: harness.Runner, tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"one")
    runner.ok("put", str(file), "/data/x")
    file.write_bytes(b"two")

    refused = runner.run("put", str(file), "/data/x")

    assert refused.code == 5
    assert "--overwrite" in refused.err
    assert runner.ok("cat", "/data/x").out == "one"
    runner.ok("put", "--overwrite", str(file), "/data/x")
    assert runner.ok("cat", "/data/x").out == "two"


def test_getting_over_a_local_file_needs_overwrite(runner: harness.Runner, tmp_path: Path) -> None:
    runner.ok("put", "-", "/data/x", stdin=b"stored")
    target = tmp_path / "x"
    target.write_bytes(b"mine")

    refused = runner.run("get", "/data/x", str(target))

    assert refused.code == 5
    assert target.read_bytes() == b"mine"
    runner.ok("get", "--overwrite", "/data/x", str(target))
    assert target.read_bytes() == b"stored"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x"]


def test_standard_input_becomes_an_object_and_an_object_standard_output(
    runner: harness.Runner,
) -> None:
    runner.ok("put", "-", "/data/x", stdin=b"from a pipe")

    assert runner.ok("get", "/data/x", "-").out == "from a pipe"
    assert runner.ok("cat", "/data/x", "/data/x").out == "from a pipefrom a pipe"


def test_globs_are_expanded_in_the_store(runner: harness.Runner, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "c.txt", ".hidden.jpg"):
        runner.ok("put", "-", f"/data/{name}", stdin=name.encode())

    runner.ok("get", "/data/*.jpg", str(tmp_path))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "b.jpg"]
    assert runner.run("get", "/data/*.png", str(tmp_path)).code == 4


def test_a_missing_object_is_exit_code_4_and_leaves_nothing(
    runner: harness.Runner, tmp_path: Path
) -> None:
    ran = runner.run("get", "/data/none", str(tmp_path / "none"))

    assert ran.code == 4
    assert ran.err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_local_file_is_exit_code_4_and_puts_nothing(
    runner: harness.Runner, tmp_path: Path
) -> None:
    (tmp_path / "there").write_bytes(b"x")

    ran = runner.run("put", str(tmp_path / "there"), str(tmp_path / "gone"), "/data/")

    assert ran.code == 4
    assert runner.ok("ls", "/data").out == ""


def test_put_tells_of_each_object_in_json_lines(runner: harness.Runner, tmp_path: Path) -> None:
    photos = harness.make_tree(tmp_path)

    ran = runner.run("put", "--json", str(photos), "/data/")

    header, *events = ran.lines
    assert header["format"] == "holdfast.put/1"
    items = [line for line in events if line.get("event") == "item"]
    assert {line["target"] for line in items if line["error"] is None} == {
        "/data/photos/a.jpg", "/data/photos/deep/b.jpg", "/data/photos/large.bin",
    }
    (result,) = (line for line in events if line.get("event") == "result")
    assert result["objects"] == 3
    assert result["size_bytes"] == 10 + 1000 + 256 * 2048
    error = events[-1]["error"]
    assert isinstance(error, dict)
    assert (ran.code, error["code"]) == (3, "copy.partial")


def test_several_sources_need_a_folder_as_the_target(
    runner: harness.Runner, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
        runner.ok("put", str(tmp_path / name), "/data/")

    put = runner.run("put", str(tmp_path / "a"), str(tmp_path / "b"), "/data/a")
    get = runner.run("get", "/data/a", "/data/b", str(tmp_path / "a"))

    assert (put.code, get.code) == (5, 5)
