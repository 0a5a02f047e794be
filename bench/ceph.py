"""Ceph on six OSDs of this disk: BlueStore in files, a monitor and a manager, all on loopback.

Measured with its own `rados bench`, objects of 4 MiB or 4 KiB by 8 clients: no file system lies
between, so this is Ceph at its leanest. No authentication, no other tuning than small memory.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from bench.namespace import daemon, missing, namespace, run, wait_until

NAME = "Ceph"
CLIENTS = 8
_OSDS = 6
_GROUPS = 32
_NAMESPACE = "holdfast-ceph"
_ADDRESS = "[v2:127.0.0.1:3300,v1:127.0.0.1:6789]"
_CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = {address}
auth cluster required = none
auth service required = none
auth client required = none
keyring = /dev/null
run dir = {folder}
crash dir = {folder}
admin socket = {folder}/$name.asok
pid file = {folder}/$name.pid
log file = {folder}/$name.log
mon data = {folder}/mon
mgr data = {folder}/mgr
osd data = {folder}/osd$id
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = 17179869184
osd memory target = 939524096
osd pool default pg autoscale mode = off
mon data avail crit = 1
mon data avail warn = 2
"""


def lacks() -> str:
    return missing(
        ("ceph-mon", "ceph-mon"), ("ceph-osd", "ceph-osd"), ("ceph-mgr", "ceph-mgr"),
        ("rados", "ceph-common"), ("monmaptool", "ceph-common"), ("ip", "iproute2"),
    )


def version() -> str:
    return run("ceph-osd", "--version").strip()


class Ceph:
    """A running cluster."""

    def __init__(self, folder: Path, inside: tuple[str, ...]) -> None:
        self.folder = folder
        self._inside = inside

    @contextlib.contextmanager
    def pool(self, kind: str) -> Iterator[str]:
        """An empty pool, 4+2 or three replicas."""
        if kind == "erasure":
            self.ceph("osd", "erasure-code-profile", "set", "bench", "k=4", "m=2",
                      "crush-failure-domain=osd")
            self.ceph("osd", "pool", "create", kind, str(_GROUPS), str(_GROUPS), "erasure", "bench")
        else:
            self.ceph("osd", "pool", "create", kind, str(_GROUPS), str(_GROUPS), "replicated")
            self.ceph("osd", "pool", "set", kind, "size", "3")
        wait_until(self.clean, "a Ceph pool")
        try:
            yield kind
        finally:
            self.ceph("tell", "mon.a", "injectargs", "--mon-allow-pool-delete=true")
            self.ceph("osd", "pool", "delete", kind, kind, "--yes-i-really-really-mean-it")

    def bench(self, pool: str, what: str, *, seconds: int, object_bytes: int = 4 << 20) -> float:
        """Operations a second of `write` or `seq` (a read of what was written before)."""
        size = ("-b", str(object_bytes), "--no-cleanup") if what == "write" else ()
        output = run(*self._inside, "rados", *self.configured(), "-p", pool, "bench", str(seconds),
                     what, "-t", str(CLIENTS), *size, timeout_s=seconds * 4 + 120)
        took = re.search(r"Total time run:\s+([\d.]+)", output)
        made = re.search(r"Total (?:writes|reads) made:\s+(\d+)", output)
        if took is None or made is None:
            raise RuntimeError(f"rados bench said: {output[-500:]}")
        return int(made[1]) / float(took[1])

    def ceph(self, *words: str) -> str:
        return run(*self._inside, "ceph", *self.configured(), "--connect-timeout", "30", *words)

    def clean(self) -> bool:
        status = json.loads(self.ceph("status", "--format", "json"))
        states = {one["state_name"] for one in status["pgmap"].get("pgs_by_state", ())}
        return status["osdmap"]["num_up_osds"] == _OSDS and states == {"active+clean"}

    def configured(self) -> tuple[str, str]:
        return ("-c", str(self.folder / "ceph.conf"))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Ceph]:
    """Monitor, manager and OSDs in their namespace; all of it is gone afterwards."""
    folder.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        inside = stack.enter_context(namespace(_NAMESPACE))
        one = Ceph(folder, inside)
        fsid = str(uuid.uuid4())
        (folder / "ceph.conf").write_text(
            _CONFIGURATION.format(fsid=fsid, folder=folder, address=_ADDRESS)
        )
        for name in ("mon", "mgr", *(f"osd{number}" for number in range(_OSDS))):
            (folder / name).mkdir()
        output = folder / "output"
        run("monmaptool", "--create", "--addv", "a", _ADDRESS, "--fsid", fsid, str(folder / "map"))
        monitor = (*inside, "ceph-mon", *one.configured(), "-i", "a")
        run(*monitor, "--mkfs", "--monmap", str(folder / "map"))
        stack.enter_context(daemon(*monitor, "-f", log=output))
        manager = (*inside, "ceph-mgr", *one.configured(), "-i", "x", "-f")
        stack.enter_context(daemon(*manager, log=output))
        for number in range(_OSDS):
            identity = str(uuid.uuid4())
            one.ceph("osd", "new", identity, str(number))
            osd = (*inside, "ceph-osd", *one.configured(), "-i", str(number))
            run(*osd, "--mkfs", "--osd-uuid", identity)
            stack.enter_context(daemon(*osd, "-f", log=output))
        wait_until(one.clean, NAME)
        yield one
