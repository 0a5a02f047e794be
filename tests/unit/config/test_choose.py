"""The file that `holdfast init` writes."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import errors
from holdfast.config import choose, parse, resolve
from holdfast.kit import atomic

FILE = Path("/srv/keep/holdfast.yaml")


@pytest.mark.parametrize(
    ("nodes", "protection", "code"),
    [
        (1, "replicas 1", "init.warn_one_node"), (2, "replicas 2", "init.replicas_2"),
        (3, "replicas 3", "init.replicas_3"), (5, "replicas 3", "init.replicas_3"),
        (6, "erasure 4+2", "init.erasure_4_2"), (12, "erasure 4+2", "init.erasure_4_2"),
    ],
)
def test_the_protection_follows_from_the_number_of_nodes(
    nodes: int, protection: str, code: str
) -> None:
    text, explanation = choose.new_file([Path(f"/mnt/d{n}") for n in range(nodes)])

    (dataset,) = _read(text).spec.datasets
    assert str(dataset.protection) == protection
    assert [message.code for message in explanation] == [code]
    assert protection in str(explanation[0])


def test_each_folder_becomes_a_node_and_a_domain() -> None:
    text, _ = choose.new_file([Path("/mnt/d1"), Path("/mnt/d2")], cluster="studio")

    asked = _read(text).spec
    assert [(node.name, node.path, node.domain) for node in asked.engine.nodes] == [
        ("d1", "/mnt/d1", ("d1",)), ("d2", "/mnt/d2", ("d2",)),
    ]
    assert (asked.cluster, asked.state) == ("studio", None)
    assert [(dataset.name, dataset.path) for dataset in asked.datasets] == [("data", "/data")]


def test_relative_folders_are_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    text, _ = choose.new_file([Path("disks/a/")], state=Path("memory"))

    asked = _read(text).spec
    assert asked.engine.nodes[0].path == str(tmp_path / "disks/a")
    assert asked.state == str(tmp_path / "memory")


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["/a/brick", "/b/brick", "/c/brick"], ["brick", "brick-2", "brick-3"]),
        (["/my disk", "/磁盘", "/-x-"], ["my-disk", "d2", "x"]),
        (["/a/x-2", "/b/x", "/c/x"], ["x-2", "x", "x-3"]),
        (["/mnt/true", "/mnt/1e5", "/mnt/7"], ["true", "1e5", "7"]),
    ],
)
def test_nodes_have_the_names_of_their_folders_made_unlike(
    folders: list[str], names: list[str]
) -> None:
    text, _ = choose.new_file([Path(folder) for folder in folders])

    assert [node.name for node in _read(text).spec.engine.nodes] == names


def test_folders_on_one_device_are_said() -> None:
    folders = [Path(f"/mnt/d{n}") for n in range(4)]

    _, explanation = choose.new_file(folders, devices=[8, 9, 8, 10])

    (warning,) = (one for one in explanation if one.code == "init.warn_same_device")
    assert warning.fields == {"nodes": ("d0", "d2")}
    assert str(warning).startswith("nodes d0, d2 lie on one real disk")


def test_folders_that_are_not_there_are_said_with_the_command_that_makes_them() -> None:
    folders = [Path("/mnt/d1"), Path("/mnt/my disk")]

    _, explanation = choose.new_file(folders, missing=folders[1:])

    (warning,) = (one for one in explanation if one.code == "init.warn_not_there")
    assert str(warning).endswith("mkdir -p '/mnt/my disk'")


def test_a_message_unpacks_to_code_template_and_fields() -> None:
    _, (message,) = choose.new_file([Path(f"/mnt/d{n}") for n in range(6)])

    code, template, fields = message

    assert (code, fields) == ("init.erasure_4_2", {"nodes": 6})
    assert template.startswith("{nodes} nodes: erasure 4+2")


@pytest.mark.parametrize(
    ("folders", "cluster", "code"),
    [
        ([], None, "init.no_folders"),
        (["/a", "/b", "/a/"], None, "init.folders_overlap"),
        (["/a/b", "/a"], None, "init.folders_overlap"),
        (["/", "/a"], None, "init.folders_overlap"),
        (["/a\nb"], None, "init.bad_folder"),
        (["/a\udcff"], None, "init.bad_folder"),
        (["/a"], "My Store", "init.bad_cluster"),
    ],
)
def test_folders_that_cannot_be_nodes_are_refused(
    folders: list[str], cluster: str | None, code: str
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        choose.new_file([Path(folder) for folder in folders], cluster=cluster)

    assert caught.value.code == code
    assert str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("state", "code"),
    [("/mnt/d1/state", "init.state_in_node"), ("/mnt", "init.state_in_node"),
     ("/mnt/d1", "init.state_in_node"), ("/a\nb", "init.bad_folder")],
)
def test_a_state_folder_that_would_not_load_is_refused_at_once(state: str, code: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        choose.new_file([Path("/mnt/d1")], state=Path(state))

    assert caught.value.code == code


@given(st.lists(
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=30), min_size=1, max_size=9,
))
def test_a_new_file_always_loads_as_the_folders_that_were_given(names: list[str]) -> None:
    folders = [Path("/mnt") / str(number) / name for number, name in enumerate(names)]

    nodes, code = _written(folders)

    if code is None:
        assert nodes == [os.path.abspath(folder) for folder in folders]
    else:
        assert code in {"init.bad_folder", "init.folders_overlap"}
        assert any(not name.isprintable() or name in {".", ".."} for name in names)


def test_a_new_file_is_written_whole(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"

    choose.write_new(file, "cluster: main\n")

    assert file.read_text() == "cluster: main\n"
    assert os.listdir(tmp_path) == ["holdfast.yaml"]


def test_a_file_that_is_there_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_text("mine")

    with pytest.raises(errors.RefusedError) as caught:
        choose.write_new(file, "cluster: main\n")

    assert caught.value.code == "config.exists"
    assert str(file) in str(caught.value)
    assert file.read_text() == "mine"


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "holdfast.yaml").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(errors.RefusedError) as caught:
        choose.write_new(tmp_path / "holdfast.yaml", "cluster: main\n")

    assert caught.value.code == "config.exists"
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(errors.RefusedError) as caught:
        choose.write_new(tmp_path / "gone" / "holdfast.yaml", "cluster: main\n")

    assert caught.value.code == "config.cannot_write"
    assert "No such file or directory" in str(caught.value)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(point: str) -> None:
        if point == "config.write.publish":
            raise OSError(28, "No space left on device")

    atomic.set_hook(fail)
    try:
        with pytest.raises(errors.RefusedError) as caught:
            choose.write_new(tmp_path / "holdfast.yaml", "cluster: main\n")
    finally:
        atomic.set_hook(None)

    assert caught.value.code == "config.cannot_write"
    assert os.listdir(tmp_path) == []


class _CrashError(BaseException):
    pass


def test_a_crash_leaves_the_whole_file_or_an_empty_one_that_is_explained(tmp_path: Path) -> None:
    text, _ = choose.new_file([Path("/mnt/d1")])
    seen = set()
    for stop_at in itertools.count():
        folder = tmp_path / str(stop_at)
        folder.mkdir()
        if not _crash(folder / "holdfast.yaml", text, stop_at):
            break
        seen.add((folder / "holdfast.yaml").read_text())

    assert seen == {"", text}
    with pytest.raises(errors.ConfigError) as caught:
        parse.parse("", FILE)
    assert "holdfast init" in caught.value.hint


def _written(folders: list[Path]) -> tuple[list[str], str | None]:
    """(the nodes' paths as they load, None), or (nothing, the code of the refusal)."""
    try:
        text, _ = choose.new_file(folders)
    except errors.ConfigError as error:
        return [], error.code
    return [node.path for node in _read(text).spec.engine.nodes], None


def _crash(file: Path, text: str, stop_at: int) -> bool:
    """Write the file, but stop at the crash point of that number; whether it was reached."""
    left = itertools.count(stop_at, -1)

    def stop(point: str) -> None:
        if next(left) == 0:
            raise _CrashError(point)

    atomic.set_hook(stop)
    try:
        choose.write_new(file, text)
    except _CrashError:
        return True
    finally:
        atomic.set_hook(None)
    return False


def _read(text: str) -> resolve.Effective:
    return resolve.resolve(parse.parse(text, FILE), {}, {})
