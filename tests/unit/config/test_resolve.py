"""Defaults, profiles, overrides and relative paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import errors
from holdfast.config import parse, resolve
from holdfast.model import spec, topology

FILE = Path("/srv/keep/holdfast.yaml")
TEXT = """\
cluster: studio
engine:
  kind: embedded
  nodes:
    - {name: disk1, path: disks/1, domain: rack1/host2, weight: 4 TB}
    - {name: disk2, path: ../other}
datasets:
  videos: {path: /videos/, protect: erasure  4 + 2, profile: media}
  posts: {path: /posts, protect: Replicas 3, quota: 2 TiB, min_margin: 1}
"""


def test_a_file_becomes_what_was_asked_for() -> None:
    assert _resolved().spec == spec.Spec(
        cluster="studio",
        file="/srv/keep/holdfast.yaml",
        engine=spec.EngineSpec(kind="embedded", nodes=(
            spec.NodeSpec(name="disk1", path="/srv/keep/disks/1", domain=("rack1", "host2"),
                          weight_bytes=4 * 10**12),
            spec.NodeSpec(name="disk2", path="/srv/other"),
        )),
        datasets=(
            spec.DatasetSpec(name="videos", path="/videos", protection=topology.erasure(4, 2),
                             profile=spec.Profile.MEDIA),
            spec.DatasetSpec(name="posts", path="/posts", protection=topology.replicas(3),
                             quota_bytes=2 << 40, min_margin=1),
        ),
    )


def test_each_value_has_its_origin() -> None:
    origins = {key: str(origin) for key, origin in _resolved().origins.items()}

    assert origins["cluster"] == "file holdfast.yaml:1"
    assert origins["engine.nodes[1].path"] == "file holdfast.yaml:6"
    assert origins["engine.nodes[1].weight"] == "default"
    assert origins["datasets.videos.profile"] == "file holdfast.yaml:8"
    assert origins["datasets.videos.shard_bytes"] == "profile media"
    assert origins["datasets.posts.profile"] == "default"
    assert origins["state"] == "default"


@pytest.mark.parametrize(
    ("environ", "flag", "state", "origin"),
    [
        ({}, None, "/srv/keep/memory", "file holdfast.yaml:10"),
        ({"HOLDFAST_STATE": ""}, None, "/srv/keep/memory", "file holdfast.yaml:10"),
        ({"HOLDFAST_STATE": "/env"}, None, "/env", "env HOLDFAST_STATE"),
        ({"HOLDFAST_STATE": "/env"}, "/flag/", "/flag", "flag --state"),
        ({}, "/flag", "/flag", "flag --state"),
    ],
)
def test_a_flag_beats_the_environment_which_beats_the_file(
    environ: dict[str, str], flag: str | None, state: str, origin: str
) -> None:
    effective = _resolved(TEXT + "state: memory\n", environ, flag)

    assert (effective.spec.state, str(effective.origins["state"])) == (state, origin)


def test_a_relative_flag_starts_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert _resolved(flag="memory").spec.state == str(tmp_path / "memory")


@pytest.mark.parametrize(
    ("environ", "flag", "source"),
    [({}, "", "--state"), ({}, "~/x", "--state"), ({"HOLDFAST_STATE": "a\nb"}, None, "HOLDFAST_STATE")],
)
def test_an_override_that_is_no_folder_names_its_source(
    environ: dict[str, str], flag: str | None, source: str
) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        _resolved(TEXT, environ, flag)

    assert caught.value.code == "config.bad_override"
    assert str(caught.value).startswith(source)


def test_a_state_folder_inside_a_node_names_where_it_came_from() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        _resolved(flag="/srv/keep/disks/1/state")

    assert caught.value.code == "config.state_in_node"
    assert "flag --state" in str(caught.value)


def test_datasets_may_be_left_out_or_empty() -> None:
    head = TEXT[: TEXT.index("datasets:")]

    assert _resolved(head).spec.datasets == ()
    assert _resolved(head + "datasets:\n  # none yet\n").spec.datasets == ()


def test_a_key_without_a_value_counts_as_not_given() -> None:
    effective = _resolved(TEXT.replace("quota: 2 TiB", "quota: ~"))

    assert effective.spec.datasets[1].quota_bytes is None


def test_a_number_alone_is_bytes() -> None:
    effective = _resolved(TEXT.replace("2 TiB", "123456789012"))

    assert effective.spec.datasets[1].quota_bytes == 123456789012


def test_a_dataset_name_that_looks_like_a_number_is_a_name() -> None:
    effective = _resolved(TEXT.replace("posts:", "2024:"))

    assert effective.spec.datasets[1].name == "2024"


@given(st.lists(
    st.lists(st.sampled_from(["a", "b", "a-", "aa", "c"]), min_size=1, max_size=3).map(tuple),
    min_size=1, max_size=8,
))
def test_overlaps_are_found_exactly_when_one_path_is_a_prefix(paths: list[tuple[str, ...]]) -> None:
    datasets = "".join(
        f"  d{number}: {{path: /{'/'.join(path)}, protect: replicas 1}}\n"
        for number, path in enumerate(paths)
    )
    expected = any(
        one != other and paths[other][: len(paths[one])] == paths[one]
        for one in range(len(paths)) for other in range(len(paths))
    )

    text = TEXT[: TEXT.index("datasets:")] + "datasets:\n" + datasets
    assert _code(text) == ("config.datasets_overlap" if expected else None)


def _code(text: str) -> str | None:
    """The code of the error; None for a file that is good."""
    try:
        _resolved(text)
    except errors.ConfigError as error:
        return error.code
    return None


def _resolved(
    text: str = TEXT, environ: dict[str, str] | None = None, flag: str | None = None
) -> resolve.Effective:
    return resolve.resolve(parse.parse(text, FILE), environ or {}, {"state": flag})
