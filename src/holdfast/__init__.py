"""holdfast: an autopilot for distributed storage.

    with holdfast.open("holdfast.yaml") as store:
        store.put("/data/x", b"some bytes")
        with store.get("/data/x", offset=5) as source:
            print(source.read())
"""  # noqa: D208 - the example keeps its indentation

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.client import store

__all__ = ["open"]


def open(  # noqa: A001 - holdfast.open, as in the documentation
    file: str | None = None, *, state: str | None = None, read_only: bool = False
) -> store.Store:
    """The store that a user's file describes, ready for use.

    `file` None: HOLDFAST_FILE, then ./holdfast.yaml, then the XDG config folder. `state` moves the
    state folder. Close it, or use it in a `with` block.
    """
    from holdfast.client import store  # noqa: PLC0415 - engines load on use

    return store.open_store(file, state=state, read_only=read_only)
