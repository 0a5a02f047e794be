from __future__ import annotations

from pathlib import Path

from tests.unit.operations import stores

from holdfast.operations import demo_data


def test_compare_finds_what_differs_what_is_missing_and_what_is_too_many(tmp_path: Path) -> None:
    ctx = stores.make()
    file = tmp_path / "same"
    file.write_bytes(b"same")
    for name, content in (("same", b"same"), ("longer", b"abcd"), ("other", b"abX"), ("extra", b"")):
        ctx.engine.data.put(f"/data/{name}", content)
    expected: dict[str, Path | bytes] = {
        "/data/same": file, "/data/longer": b"abc", "/data/other": b"abc", "/data/gone": b"",
    }

    meter = ctx.meter("compare", total=None, unit="bytes")
    found = demo_data.compare(ctx, "/data", expected, meter)

    assert {(one.path, one.reason) for one in found} == {
        ("/data/extra", "it should not be there"),
        ("/data/longer", "its bytes differ"),
        ("/data/other", "its bytes differ"),
        ("/data/gone", "it is missing"),
    }


def test_the_source_files_are_varied(tmp_path: Path) -> None:
    ctx = stores.make()
    amount = demo_data.Amount(small_files=400, large_files=1, large_bytes=5 << 20)

    made = demo_data.make(tmp_path / "source", amount, ctx)

    sizes = {path.stat().st_size for path in made.posts.rglob("*") if path.is_file()}
    assert made.files == 401
    assert len(sizes) > 200
    assert (made.videos / "clip0.mp4").stat().st_size == 5 << 20
    assert len(demo_data.sources(made.posts, "/posts")) == 400
