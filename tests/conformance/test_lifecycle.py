from __future__ import annotations

from holdfast import errors
from holdfast.engines import api
from tests.conformance import engines, tools


def test_a_store_is_the_same_after_it_was_opened_again(opened: engines.Opened) -> None:
    data = opened.engine.data
    whole = {
        "/data/a": b"", "/data/f/small": tools.content(5000), "/coded/middle": tools.content(90_000),
        "/kept/large": tools.content(opened.shard_bytes + 17), "/data/f/renamed": b"r",
    }  # fmt: skip
    for path, held in whole.items():
        data.put(path.replace("renamed", "old"), held)
    data.rename("/data/f/old", "/data/f/renamed")
    data.put("/data/gone", b"x")
    snapshots = api.need(opened.engine, api.Snapshots)
    taken = snapshots.create_snapshot("data", "one")
    data.delete("/data/gone")
    told = list(data.list_objects("/"))

    engine = opened.reopen()

    assert list(engine.data.list_objects("/")) == told
    assert tools.contents(engine.data, "/") == whole
    assert api.need(engine, api.Snapshots).snapshots("data") == (taken,)
    assert tools.read(engine.data, "/data/.snapshot/one/gone") == b"x"


def test_a_store_that_was_opened_again_goes_on(opened: engines.Opened) -> None:
    versions = {opened.engine.data.put("/data/a", b"first").version}

    for number in range(3):
        engine = opened.reopen()
        versions.add(engine.data.put("/data/a", str(number).encode(), overwrite=True).version)
        engine.data.put(f"/data/f{number}/b", b"x")

    engine = opened.reopen()
    assert len(versions) == 4
    assert tools.contents(engine.data, "/data") == {
        "/data/a": b"2", "/data/f0/b": b"x", "/data/f1/b": b"x", "/data/f2/b": b"x",
    }


def test_a_closed_engine_is_refused(engine: api.Engine) -> None:
    engine.data.put("/data/a", b"x")
    engine.close()
    engine.close()

    with tools.fails(errors.RefusedError, "engine.closed"):
        engine.data.stat("/data/a")
    with tools.fails(errors.RefusedError, "engine.closed"):
        engine.data.put("/data/b", b"x")
    with tools.fails(errors.RefusedError, "engine.closed"):
        list(engine.data.list_objects("/"))
    with tools.fails(errors.RefusedError, "engine.closed"):
        tools.read(engine.data, "/data/a")
