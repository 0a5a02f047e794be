"""The data that is stored has the promised size, and trees the promised names."""

from __future__ import annotations

from pathlib import Path

from bench import sources


def test_a_repeated_source_gives_exactly_its_size() -> None:
    source = sources.Repeated(10_000_000, seed=3)
    buffer = bytearray(1 << 20)
    counts = []

    while count := source.readinto(buffer):
        counts.append(count)

    assert sum(counts) == 10_000_000


def test_two_sources_differ() -> None:
    first, second = (sources.Repeated(4096, seed=seed).read(4096) for seed in (0, 1))

    assert first != second


def test_a_tree_has_its_files_in_folders_of_a_thousand(tmp_path: Path) -> None:
    tree = sources.make_tree(tmp_path / "tree", 1005)

    files = sorted(file for file in tree.rglob("*") if file.is_file())

    assert [str(file.relative_to(tree)) for file in files] == list(sources.tree_files(1005))
    assert {file.stat().st_size for file in files} == {sources.RECORD_BYTES}
    assert len(list(tree.iterdir())) == 2
