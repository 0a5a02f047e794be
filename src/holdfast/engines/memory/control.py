"""The control plane of the memory engine: it makes datasets and changes their policy."""

from __future__ import annotations

from holdfast import errors
from holdfast.engines import api, refusals
from holdfast.engines.memory import store, tree
from holdfast.model import observation, outcome, spec, topology
from holdfast.model import plan as plans

CREATE_DATASET = "create_dataset"
CHANGE_DATASET = "change_dataset"


class MemoryControl:
    """Over the same store as the data plane."""

    def __init__(self, held: store.Store) -> None:
        self._store = held

    def observe(self, deadline: api.Deadline) -> observation.Observation:
        self._store.check_open()
        deadline.check("observing the memory engine")
        now_ns = self._store.time.now_ns()
        with self._store.lock:
            datasets = tuple(_observe(one, now_ns) for one in self._store.datasets.values())
            used = sum(one.used_bytes for one in self._store.datasets.values())
        return observation.Observation(
            at_ns=now_ns,
            store_id=self._store.cluster,
            initialised=True,
            writable=True,
            reason="",
            nodes=(_node(used, now_ns),),
            datasets=datasets,
            usable_bytes=_fact(None, now_ns),
            used_bytes=_fact(used, now_ns),
            log_members=0,
            log_up=0,
            heal_queue=0,
            heal_bytes=0,
        )

    def plan(self, desired: spec.Spec, observed: observation.Observation) -> plans.Plan:
        there = {one.name: one for one in observed.datasets}
        steps: list[plans.Step] = []
        refusals: list[plans.Refusal] = []
        for wanted in desired.datasets:
            found = there.get(wanted.name)
            if found is None:
                steps.append(_step(CREATE_DATASET, wanted, "the file has it, the store does not"))
            elif found.path != wanted.path:
                refusals.append(_refuse_move(wanted, found))
            elif _policy(found) != (str(wanted.protection), wanted.quota_bytes):
                steps.append(_step(CHANGE_DATASET, wanted, "the file asks for another policy"))
        return plans.Plan(steps=tuple(steps), refusals=tuple(refusals))

    def execute(self, step: plans.Step, deadline: api.Deadline) -> outcome.Outcome:
        self._store.check_open()
        deadline.check(step.id)
        if step.verb not in (CREATE_DATASET, CHANGE_DATASET):
            return outcome.Outcome(
                kind=outcome.OutcomeKind.REFUSED,
                code="step.unknown",
                message="the memory engine only makes and changes datasets",
            )
        try:
            self._store.add_dataset(_dataset_of(step))
        except errors.RefusedError as refusal:
            return outcome.Outcome(
                kind=outcome.OutcomeKind.REFUSED, code=refusal.code, message=str(refusal)
            )
        return outcome.Outcome(kind=outcome.OutcomeKind.DONE, done=1, total=1, unit="datasets")


def _observe(dataset: store.Dataset, now_ns: int) -> observation.DatasetObservation:
    count = len(tree.objects_of(dataset.root, dataset.spec.path))
    held = ((tree.MARGIN, dataset.used_bytes),) if dataset.used_bytes else ()
    return observation.DatasetObservation(
        name=dataset.spec.name,
        path=dataset.spec.path,
        protection=str(dataset.spec.protection),
        objects=_fact(count, now_ns),
        used_bytes=_fact(dataset.used_bytes, now_ns),
        quota_bytes=dataset.spec.quota_bytes,
        target_margin=tree.MARGIN,
        bytes_by_margin=held,
        snapshots=len(dataset.snapshots),
    )


def _node(used_bytes: int, now_ns: int) -> observation.NodeObservation:
    return observation.NodeObservation(
        name=tree.NODE,
        uuid="",
        number=None,
        domain=(),
        path="",
        state=topology.NodeState.ACTIVE.value,
        health=observation.Health.UP,
        reason="",
        capacity_bytes=_fact(None, now_ns),
        free_bytes=_fact(None, now_ns),
        used_bytes=_fact(used_bytes, now_ns),
        device=_fact(None, now_ns),
    )


def _fact(value: int | None, now_ns: int) -> observation.Fact:
    return observation.Fact(value=value, source="the memory engine", at_ns=now_ns)


def _policy(found: observation.DatasetObservation) -> tuple[str, int | None]:
    return found.protection, found.quota_bytes


def _step(verb: str, wanted: spec.DatasetSpec, reason: str) -> plans.Step:
    return plans.Step(
        id=f"{verb}:{wanted.name}",
        verb=verb,
        target=wanted.name,
        reason=reason,
        fields={
            "path": wanted.path,
            "protection": str(wanted.protection),
            "profile": wanted.profile.value,
            "quota_bytes": wanted.quota_bytes,
            "min_margin": wanted.min_margin,
        },
    )


def _refuse_move(wanted: spec.DatasetSpec, found: observation.DatasetObservation) -> plans.Refusal:
    moved = refusals.dataset_moved(wanted.name, found.path, wanted.path)
    return plans.Refusal(
        target=wanted.name, code=moved.code, message=moved.message, hint=moved.hint,
        fields=moved.fields,
    )


def _dataset_of(step: plans.Step) -> spec.DatasetSpec:
    """The dataset that a step of `plan` describes."""
    return spec.DatasetSpec(
        name=step.target,
        path=str(step.fields["path"]),
        protection=topology.parse_protection(str(step.fields["protection"])),
        profile=spec.Profile(step.fields["profile"]),
        quota_bytes=_whole(step.fields["quota_bytes"]),
        min_margin=_whole(step.fields["min_margin"]),
    )


def _whole(value: plans.Value) -> int | None:
    return value if isinstance(value, int) else None
