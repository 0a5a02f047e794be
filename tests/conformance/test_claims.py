"""What an engine claims, it does; what it does not claim, it has no verb for."""

from __future__ import annotations

import pytest

from holdfast.engines import api
from tests.conformance import engines, tools


def claims(engine: api.Engine) -> dict[type, bool]:
    claimed = engine.capabilities
    return {
        api.Snapshots: claimed.snapshot is not api.Doer.NOBODY,
        api.Append: claimed.append is not api.Doer.NOBODY,
        api.Folders: claimed.folders,
    }


@pytest.mark.parametrize("protocol", [api.Snapshots, api.Append, api.Folders])
def test_an_extra_is_offered_exactly_when_it_is_claimed(
    engine: api.Engine, protocol: type
) -> None:
    found = tools.offered(engine, protocol)

    assert (found is not None) == claims(engine)[protocol]


def test_the_suite_needs_snapshots_and_their_changes(engine: api.Engine) -> None:
    assert api.extra(engine, api.Snapshots) is not None
    assert api.extra(engine, api.Changes) is not None


def test_who_codes_lays_an_object_over_as_many_nodes_as_it_has_pieces(
    opened: engines.Opened,
) -> None:
    claimed = opened.engine.capabilities
    shards = api.need(opened.engine, api.Shards)
    by_name = {one.name: one.protection for one in opened.spec.datasets}
    claimed_by_path = {
        "/kept/a": (claimed.redundancy, by_name["kept"]),
        "/coded/a": (claimed.erasure, by_name["coded"]),
    }

    for path, (doer, protection) in claimed_by_path.items():
        info = opened.engine.data.put(path, tools.content(300_000))
        for one in shards.shards(path):
            nodes = set(one.nodes) - {""}
            if doer is api.Doer.NOBODY:
                assert info.margin in (0, None)
            else:
                assert len(nodes) == protection.width
                assert one.margin == info.margin == protection.parity


def test_attributes_that_are_claimed_exist(engine: api.Engine) -> None:
    assert engine.capabilities.attributes <= {
        "modified_ns", "mode", "owner", "group", "acl", "xattrs",
    }


def test_a_quota_that_nobody_keeps_is_not_claimed(opened: engines.Opened) -> None:
    data = opened.engine.data
    more = tools.content(engines.QUOTA_BYTES + 1)

    if opened.engine.capabilities.quota is api.Doer.NOBODY:
        data.put("/limited/tight/a", more)
    else:
        with tools.refuses("quota.full"):
            data.put("/limited/tight/a", more)
