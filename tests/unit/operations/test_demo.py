from __future__ import annotations

import threading
from pathlib import Path

import pytest

from holdfast import errors
from holdfast.model import notice
from holdfast.operations import context, demo, demo_data

LITTLE = demo_data.Amount(small_files=300, large_files=1, large_bytes=8 << 20)


@pytest.mark.slow
def test_the_demo_destroys_two_nodes_and_every_byte_is_equal(tmp_path: Path) -> None:
    told: list[notice.Notice] = []
    folder = tmp_path / "demo"

    report = demo.run(
        demo.Request(folder=folder, amount=LITTLE, settle_s=0.3, tell=told.append)
    )

    assert report.equal, (report.differences, report.failures)
    demo.verdict(report)
    assert min(report.margins_before) == 2
    assert min(report.margins_after) == 0
    assert report.compared.objects > 300 - demo.REMOVED + 300  # live, snapshot, clips, traffic
    assert {one.phase for one in report.reads} == {"all_nodes", "1_destroyed", "2_destroyed"}
    assert [one.code for one in told][:2] == ["demo.prepared", "demo.made"]
    assert not folder.exists()


def test_a_folder_that_is_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")

    with pytest.raises(errors.RefusedError) as caught:
        demo.run(demo.Request(folder=tmp_path, amount=LITTLE))

    assert caught.value.code == "demo.folder_in_use"
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    amount = demo_data.Amount(large_files=1_000_000)

    with pytest.raises(errors.RefusedError) as caught:
        demo.run(demo.Request(folder=tmp_path / "demo", amount=amount))

    assert caught.value.code == "demo.no_room"
    assert list(tmp_path.iterdir()) == []


def test_a_cancelled_demo_cleans_up(tmp_path: Path) -> None:
    cancel = threading.Event()
    cancel.set()

    with pytest.raises(context.Cancelled):
        demo.run(demo.Request(folder=tmp_path / "demo", amount=LITTLE, cancel=cancel))

    assert list(tmp_path.iterdir()) == []
