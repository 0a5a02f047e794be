"""Finding the user's file and reading it."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast import errors
from holdfast.config import load

SMALLEST = "cluster: main\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_an_explicit_file_wins_over_all_others(here: Path) -> None:
    (here / "holdfast.yaml").write_text(SMALLEST)

    found = load.find("mine.yaml", {"HOLDFAST_FILE": "/other.yaml"})

    assert found == here / "mine.yaml"


def test_the_environment_wins_over_the_current_folder(here: Path) -> None:
    (here / "holdfast.yaml").write_text(SMALLEST)

    assert load.find(None, {"HOLDFAST_FILE": "sub/other.yaml"}) == here / "sub/other.yaml"


def test_an_empty_variable_counts_as_not_set(here: Path) -> None:
    (here / "holdfast.yaml").write_text(SMALLEST)

    assert load.find(None, {"HOLDFAST_FILE": ""}) == here / "holdfast.yaml"


def test_the_current_folder_wins_over_the_users_own(here: Path, tmp_path: Path) -> None:
    own = _own_file(tmp_path / "config")
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}

    before = load.find(None, environ)
    (here / "holdfast.yaml").write_text(SMALLEST)
    after = load.find(None, environ)

    assert (before, after) == (own, here / "holdfast.yaml")


def test_the_users_own_folder_is_dot_config_by_default(here: Path, tmp_path: Path) -> None:
    own = _own_file(tmp_path / "home" / ".config")

    assert load.find(None, {"HOME": str(tmp_path / "home")}) == own


def test_a_relative_xdg_folder_is_ignored_as_its_specification_asks() -> None:
    environ = {"HOME": "/home/me", "XDG_CONFIG_HOME": "relative"}

    assert load.user_file(environ) == Path("/home/me/.config/holdfast/holdfast.yaml")


def test_a_link_to_nowhere_is_not_passed_over_silently(here: Path) -> None:
    (here / "holdfast.yaml").symlink_to("gone.yaml")

    found = load.find(None, {"HOME": "/nowhere"})
    with pytest.raises(errors.ConfigError) as caught:
        load.load(found)

    assert caught.value.code == "config.no_file"


def test_no_file_at_all_names_init(here: Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        load.find(None, {"HOME": "/nowhere"})

    assert caught.value.code == "config.none"
    assert "holdfast init FOLDER..." in caught.value.hint
    assert "/nowhere/.config/holdfast/holdfast.yaml" in str(caught.value)


def test_a_document_knows_its_absolute_file_and_text(here: Path) -> None:
    (here / "mine.yaml").write_text(SMALLEST)

    read = load.load(Path("mine.yaml"))

    assert (read.file, read.text) == (here / "mine.yaml", SMALLEST)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_bytes(b"\xef\xbb\xbfcluster: main\r\n")

    assert load.load(file).values == {"cluster": "main"}


def test_a_missing_file_names_init(tmp_path: Path) -> None:
    error = _refused(tmp_path / "gone.yaml")

    assert error.code == "config.no_file"
    assert "holdfast init" in error.hint


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    assert _refused(tmp_path).code == "config.is_folder"


def test_a_part_of_the_path_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    error = _refused(tmp_path / "file" / "holdfast.yaml")

    assert error.code == "config.unreadable"
    assert "Not a directory" in str(error)


def test_a_name_with_a_zero_byte_is_told() -> None:
    assert _refused(Path("/tmp/a\0b")).code == "config.unreadable"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"
    file.symlink_to("/proc/self/mem")  # opens, but reading its beginning fails, for root too

    error = _refused(file)

    assert error.code == "config.unreadable"
    assert "Input/output error" in str(error)


def test_a_file_of_data_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_bytes(b"#" * (load.SIZE_BYTES_MAX + 1))

    assert _refused(file).code == "config.too_big"


def test_bytes_that_are_not_utf8_name_their_line(tmp_path: Path) -> None:
    file = tmp_path / "holdfast.yaml"
    file.write_bytes(b"cluster: main\n# caf\xe9\n")

    error = _refused(file)

    assert (error.code, error.fields["line"]) == ("config.not_utf8", 2)


def _own_file(config: Path) -> Path:
    own = config / "holdfast" / "holdfast.yaml"
    own.parent.mkdir(parents=True)
    own.write_text(SMALLEST)
    return own


def _refused(path: Path) -> errors.ConfigError:
    with pytest.raises(errors.ConfigError) as caught:
        load.load(path)
    return caught.value
