"""The refusals that every engine words alike: one function for each code of the contract."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast import errors
from holdfast.model import objects


def no_object(path: str, datasets: Iterable[str]) -> errors.NotFoundError:
    return errors.NotFoundError(
        "object.not_found", "there is nothing at {path}",
        hint="holdfast ls {parent} shows what is there; the datasets are {datasets}",
        path=path, parent=objects.parent_of(path), datasets=tuple(sorted(datasets)) or ("none",),
    )


def no_dataset_holds(path: str, datasets: Iterable[str]) -> errors.RefusedError:
    return errors.RefusedError(
        "dataset.none", "no dataset holds {path}",
        hint="write below one of the datasets ({datasets}), or add one to the file and run "
        "holdfast apply",
        path=path, datasets=tuple(sorted(datasets)) or ("none",),
    )


def no_dataset(name: str) -> errors.NotFoundError:
    return errors.NotFoundError(
        "dataset.not_found", "there is no dataset {name}",
        hint="holdfast dataset list shows those that there are", name=name,
    )


def dataset_root(path: str, dataset: str) -> errors.RefusedError:
    return errors.RefusedError(
        "dataset.is_root", "{path} is the folder of dataset {dataset}",
        hint="name what is below it; a dataset itself is neither moved nor removed",
        path=path, dataset=dataset,
    )


def exists(path: str) -> errors.RefusedError:
    return errors.RefusedError(
        "object.exists", "{path} is there already",
        hint="choose another name, or overwrite it: holdfast put --overwrite", path=path,
    )


def is_folder(path: str) -> errors.RefusedError:
    return errors.RefusedError(
        "object.is_folder", "{path} is a folder",
        hint="name an object; holdfast ls {path} shows those below it", path=path,
    )


def parent_is_object(path: str) -> errors.RefusedError:
    return errors.RefusedError(
        "object.parent_is_object", "an object stands where {path} needs a folder",
        hint="holdfast stat shows which of the names above it is an object", path=path,
    )


def changed(path: str, version: str) -> errors.RefusedError:
    return errors.RefusedError(
        "object.changed", "{path} has changed since version {version} of it was seen",
        hint="read it again from the start", path=path, version=version,
    )


def folder_not_empty(path: str) -> errors.RefusedError:
    return errors.RefusedError(
        "folder.not_empty", "the folder {path} is not empty",
        hint="holdfast rm -r {path} removes it with everything below it", path=path,
    )


def folder_is_object(path: str) -> errors.RefusedError:
    return errors.RefusedError(
        "folder.is_object", "{path} is an object, not a folder",
        hint="holdfast rm {path} removes an object", path=path,
    )


def across_datasets(source: str, target: str) -> errors.RefusedError:
    return errors.RefusedError(
        "rename.across_datasets", "{source} cannot be renamed to {target}: they are in two datasets",
        hint="copy it and remove the old one: holdfast get, put, rm", source=source, target=target,
    )


def into_itself(source: str, target: str) -> errors.RefusedError:
    return errors.RefusedError(
        "rename.into_itself", "{source} cannot be moved below itself, to {target}",
        hint="choose a target that is not below {source}", source=source, target=target,
    )


def size_mismatch(size: int) -> errors.RefusedError:
    return errors.RefusedError(
        "put.size_mismatch", "the source does not have the {size} bytes that were announced",
        hint="it may have changed while it was read; try again", size=size,
    )


def quota_full(dataset: str, used: int, quota: int, wanted: int) -> errors.RefusedError:
    return errors.RefusedError(
        "quota.full", "dataset {dataset} has {used} of its {quota} bytes; {wanted} more do not fit",
        hint="remove something, or raise quota of {dataset} in the file and run holdfast apply",
        dataset=dataset, used=used, quota=quota, wanted=wanted,
    )


def append_to_erasure(path: str, dataset: str, protection: str) -> errors.RefusedError:
    return errors.RefusedError(
        "append.erasure", "{path} cannot grow: dataset {dataset} is kept as {protection}",
        hint="append needs a dataset with replicas; or put the whole object again",
        path=path, dataset=dataset, protection=protection,
    )


def append_size_changed(path: str, size: int, at_size: int) -> errors.RefusedError:
    return errors.RefusedError(
        "append.size_changed", "{path} has {size} bytes now, not {at_size}",
        hint="read what was added meanwhile, then append at {size}",
        path=path, size=size, at_size=at_size,
    )


def negative_range(offset: int, length: int | None) -> errors.ConfigError:
    return errors.ConfigError(
        "range.negative", "a range cannot start at {offset} with length {length}",
        hint="give an offset and a length of 0 or more", offset=offset, length=length,
    )


def check_range(offset: int, length: int | None) -> None:
    """Raises ConfigError (`range.negative`)."""
    if offset < 0 or (length is not None and length < 0):
        raise negative_range(offset, length)


def no_snapshot(dataset: str, name: str) -> errors.NotFoundError:
    return errors.NotFoundError(
        "snapshot.not_found", "dataset {dataset} has no snapshot {name}",
        hint="holdfast snapshot list {dataset} shows those that there are",
        dataset=dataset, name=name,
    )


def snapshot_exists(dataset: str, name: str) -> errors.RefusedError:
    return errors.RefusedError(
        "snapshot.exists", "dataset {dataset} has a snapshot {name} already",
        hint="choose another name; holdfast snapshot list {dataset} shows those taken",
        dataset=dataset, name=name,
    )


def snapshot_read_only(path: str, dataset: str) -> errors.RefusedError:
    return errors.RefusedError(
        "snapshot.read_only", "{path} belongs to the snapshots of {dataset}",
        hint="snapshots never change; holdfast snapshot delete {dataset} NAME removes one",
        path=path, dataset=dataset,
    )


def check_snapshot_name(name: str) -> None:
    """Raises ConfigError (`snapshot.bad_name`, or as `objects.check_path`)."""
    if not name or "/" in name:
        raise errors.ConfigError(
            "snapshot.bad_name", "{name} cannot name a snapshot",
            hint="use a name without / such as before-update", name=ascii(name),
        )
    objects.check_path("/" + name)


def closed(cluster: str) -> errors.RefusedError:
    return errors.RefusedError(
        "engine.closed", "the store {cluster} is not open",
        hint="open it first: holdfast.open(FILE), or engine.open()", cluster=cluster,
    )


def dataset_moved(name: str, there: str, path: str) -> errors.RefusedError:
    return errors.RefusedError(
        "dataset.moved", "dataset {name} is at {there}, not at {path}",
        hint="set its path back to {there}, or give the new path to a dataset of another name",
        name=name, there=there, path=path,
    )


def dataset_overlaps(name: str, path: str, other: str, there: str) -> errors.RefusedError:
    return errors.RefusedError(
        "dataset.overlaps", "the path {path} of dataset {name} overlaps {there} of {other}",
        hint="give each dataset a path that is not below another's",
        path=path, name=name, there=there, other=other,
    )
