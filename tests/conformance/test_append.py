from __future__ import annotations

import io

import pytest

from holdfast.engines import api
from holdfast.model import objects
from tests.conformance import engines, tools

SIZES = (0, 1, 4096, 65_536, 131_072, 131_073, 700_000)


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_appended_follows_what_was_there(engine: api.Engine, streamed: bool) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return

    for size in SIZES:
        for more in SIZES:
            path = f"/kept/{size}/{more}"
            engine.data.put(path, tools.content(size))
            added = tools.content(more, "more")

            info = append.append(path, io.BytesIO(added) if streamed else added)

            assert info.size_bytes == size + more
            assert tools.read(engine.data, path) == tools.content(size) + added


def test_a_log_grows_line_by_line_beyond_a_shard(opened: engines.Opened) -> None:
    append = tools.offered(opened.engine, api.Append)
    if append is None:
        return
    part = opened.shard_bytes // 3 + 11
    opened.engine.data.put("/kept/log", b"")
    whole = b""

    for number in range(8):
        whole += tools.content(part, number)
        append.append("/kept/log", tools.content(part, number), at_size=number * part)

    assert tools.read(opened.engine.data, "/kept/log") == whole
    for offset in range(0, len(whole), part):
        found = tools.read(opened.engine.data, "/kept/log", offset=offset - 1 if offset else 0, length=9)
        start = offset - 1 if offset else 0
        assert found == whole[start : start + 9]


def test_an_append_gives_a_new_version_and_time_and_keeps_the_rest(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    given = objects.Attributes(modified_ns=7, mode=0o600, owner="ann", xattrs={"user.a": b"b"})
    before = engine.data.put("/kept/log", b"one", attributes=given)

    after = append.append("/kept/log", b"two")

    assert after == engine.data.stat("/kept/log")
    assert after.version != before.version
    assert after.modified_ns > 7
    kept = before.attributes
    assert (after.attributes.mode, after.attributes.owner, after.attributes.xattrs) == (
        kept.mode, kept.owner, kept.xattrs,
    )
    with tools.refuses("object.changed"):
        tools.read(engine.data, "/kept/log", version=before.version)


def test_a_reader_sees_the_object_as_it_was_opened(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/kept/log", b"one")

    with engine.data.get("/kept/log") as stream:
        append.append("/kept/log", b"two")
        found = stream.read()

    assert found == b"one"


def test_a_snapshot_keeps_the_size_of_its_moment(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/kept/log", b"one")
    api.need(engine, api.Snapshots).create_snapshot("kept", "one")

    append.append("/kept/log", b"two")

    assert tools.read(engine.data, "/kept/.snapshot/one/log") == b"one"
    assert tools.read(engine.data, "/kept/log") == b"onetwo"


@pytest.mark.parametrize("at_size", [0, 2, 4, 10**12])
def test_an_append_at_another_size_is_refused(engine: api.Engine, at_size: int) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/kept/log", b"one")

    with tools.refuses("append.size_changed"):
        append.append("/kept/log", b"two", at_size=at_size)

    assert tools.read(engine.data, "/kept/log") == b"one"


def test_an_append_whose_source_breaks_changes_nothing(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    before = engine.data.put("/kept/log", b"one")

    with pytest.raises(OSError, match="the source broke"):
        append.append("/kept/log", tools.dribble(tools.content(200_000), fails_at=150_000))

    assert engine.data.stat("/kept/log") == before
    assert tools.read(engine.data, "/kept/log") == b"one"


def test_an_append_of_nothing_changes_no_byte(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/kept/log", b"one")

    append.append("/kept/log", io.BytesIO(b""))

    assert tools.read(engine.data, "/kept/log") == b"one"


def test_an_erasure_coded_object_does_not_grow(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/coded/log", b"one")

    for path in ("/coded/log", "/coded/missing"):
        with tools.refuses("append.erasure"):
            append.append(path, b"two")

    assert tools.contents(engine.data, "/coded") == {"/coded/log": b"one"}


@pytest.mark.parametrize("path", ["/kept/missing", "/kept/log/x"])
def test_an_append_to_nothing_finds_nothing(engine: api.Engine, path: str) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/kept/log", b"one")

    with tools.finds_nothing("object.not_found"):
        append.append(path, b"two")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/kept", "object.is_folder"),
        ("/kept/f", "object.is_folder"),
        ("/elsewhere/x", "dataset.none"),
        ("/limited", "dataset.none"),
    ],
)
def test_only_objects_grow(engine: api.Engine, path: str, code: str) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/kept/f/x", b"one")

    with tools.refuses(code):
        append.append(path, b"two")


def test_an_append_beyond_the_quota_changes_nothing(engine: api.Engine) -> None:
    append = tools.offered(engine, api.Append)
    if append is None:
        return
    engine.data.put("/limited/tight/log", b"x" * engines.QUOTA_BYTES)

    with tools.refuses("quota.full"):
        append.append("/limited/tight/log", b"y")

    assert engine.data.stat("/limited/tight/log").size_bytes == engines.QUOTA_BYTES
