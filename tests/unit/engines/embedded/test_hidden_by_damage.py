"""What damage to every copy of the commit log hides is told as damage, never as absence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support import embedded

from holdfast import errors
from holdfast.engines.embedded import engine, log_file
from holdfast.kit import clock
from holdfast.model import spec, topology

ASKED = spec.Spec(
    cluster="hidden", file="", engine=spec.EngineSpec(kind="embedded"),
    datasets=(spec.DatasetSpec(name="data", path="/data", protection=topology.replicas(3)),),
)


@pytest.fixture
def damaged(tmp_path: Path) -> engine.EmbeddedEngine:
    """Opened for reading; every log copy is garbled in its first frames, and the index is gone."""
    made = embedded.copied_engine(tmp_path, ASKED)
    made.put("/data/x", b"something")
    made.close()
    for path in tmp_path.glob("d*/log/*.log"):
        with path.open("r+b") as file:
            file.seek(log_file.HEADER_BYTES + 16)
            file.write(b"\xff" * 64)
    shutil.rmtree(tmp_path / "state")
    opened = engine.EmbeddedEngine(made.wanted, read_only=True)
    opened.open()
    return opened


def test_an_object_is_not_said_to_be_absent(damaged: engine.EmbeddedEngine) -> None:
    with pytest.raises(errors.IntegrityError) as caught:
        damaged.stat("/data/x")
    damaged.close()

    assert caught.value.code == "log.gap"


def test_a_listing_does_not_end_as_if_it_were_whole(damaged: engine.EmbeddedEngine) -> None:
    with pytest.raises(errors.IntegrityError) as caught:
        list(damaged.list_objects("/"))
    damaged.close()

    assert caught.value.code == "log.gap"


def test_the_store_is_not_writable_for_an_observer(damaged: engine.EmbeddedEngine) -> None:
    seen = damaged.observe(clock.Deadline(30))
    damaged.close()

    assert (seen.writable, seen.reason) == (False, "log.gap")
