"""Short histories that pass every durable step of the store, for crashes and power cuts."""

from __future__ import annotations

from tests.support.workload import Op

HISTORIES: dict[str, tuple[Op, ...]] = {
    "put_small": (
        Op("put", "/data/a", size=3000, seed=1),
        Op("put", "/data/folder/empty", size=0, seed=2),
        Op("put", "/media/a", size=5000, seed=3),
    ),
    "put_large": (
        Op("put", "/media/clip", size=1_300_000, seed=1),
        Op("put", "/data/scan", size=600_000, seed=2),
    ),
    "overwrite": (
        Op("put", "/data/a", size=3000, seed=1),
        Op("put", "/data/b", size=300_000, seed=2),
        Op("put", "/data/a", size=200_000, seed=3),
        Op("put", "/data/b", size=100, seed=4),
    ),
    "rename": (
        Op("put", "/data/old/a", size=2000, seed=1),
        Op("put", "/data/old/b", size=150_000, seed=2),
        Op("rename", "/data/old/a", target="/data/a"),
        Op("rename", "/data/old", target="/data/new"),
    ),
    "delete": (
        Op("put", "/data/f/a", size=2000, seed=1),
        Op("put", "/data/f/b", size=150_000, seed=2),
        Op("put", "/media/c", size=700_000, seed=3),
        Op("delete", "/media/c"),
        Op("delete", "/data/f", recursive=True),
    ),
    "append": (
        Op("put", "/data/log", size=1000, seed=1),
        Op("append", "/data/log", size=2000, seed=2),
        Op("append", "/data/log", size=200_000, seed=3),
        Op("append", "/data/log", size=300_000, seed=4),
    ),
    "snapshot": (
        Op("put", "/data/a", size=3000, seed=1),
        Op("put", "/data/b", size=140_000, seed=2),
        Op("snapshot", "/data/.snapshot/s1"),
        Op("put", "/data/a", size=4000, seed=3),
        Op("delete", "/data/b"),
        Op("snapshot", "/data/.snapshot/s2"),
        Op("unsnapshot", "/data/.snapshot/s1"),
        Op("collect"),
    ),
    "batch": (
        Op("batch", "/data/many", size=1500, seed=10, count=12),
        Op("batch", "/data/many", size=900, seed=50, count=12),
    ),
    "collect": (
        Op("put", "/media/clip", size=700_000, seed=1),
        Op("put", "/data/a", size=140_000, seed=2),
        Op("put", "/data/a", size=150_000, seed=3),
        Op("delete", "/media/clip"),
        Op("collect"),
    ),
    "compact": (
        Op("batch", "/data/many", size=9000, seed=10, count=16),
        Op("delete", "/data/many/1"),
        Op("batch", "/data/many", size=50, seed=40, count=6),
        Op("put", "/data/more", size=60_000, seed=90),
        Op("put", "/data/last", size=60_000, seed=91),
        Op("collect"),
        Op("collect"),
    ),
}
