"""Manifests: what an archive of a store tells first of all that is in it."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from deltas.errors import DeltaError
from deltas.kinds import kind_named
from deltas.strict_json import parse
from server.errors import InvalidArchive, RequestError
from server.registry.audit import NO_KEYS
from server.registry.keys import MAX_TENANT, Key
from server.registry.layout import is_digest
from server.registry.names import PLAIN_NAME, SHARED, check_alias, check_name, is_plain
from server.registry.sharing import MAX_VERSIONS
from server.registry.task import MOST_ALIASES, Task, digests_of
from server.registry.tenant import Tenant, check_tenant
from server.registry.traffic import Traffic
from server.registry.version import MAX_CARD, Version

FORMAT = 1
"""Counts up where an older release could not read what a newer one writes."""

MAX_MANIFEST = 256 << 20
"""Bytes of a manifest: a version takes about a thousand."""

_MAX_NUMBER = 1 << 53
_BASE = re.compile(r"[0-9a-f]{8,64}")
_FILE = re.compile(PLAIN_NAME)
_MAX_FILE_NAME = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """A task of a base, by its fingerprint."""

    base: str
    task: Task


@dataclass(frozen=True, slots=True)
class Blob:
    """The files of a delta: their names and sizes in bytes."""

    digest: str
    files: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All tasks, by base and name, all blobs that their versions have, keys and tenants by name.

    Blobs follow in the order in which tasks need them, each once. Keys are digests of what their
    holders send.
    """

    tasks: tuple[Entry, ...]
    blobs: tuple[Blob, ...]
    keys: tuple[Key, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    format: int = FORMAT

    def written(self) -> bytes:
        """As JSON, always the same for the same; raises InvalidArchive if that is too large."""
        plain = _MANIFEST.dump_python(self, mode="json")
        for key in plain["keys"]:
            key["scopes"].sort()
        for access in ("keys", "tenants"):
            # Earlier releases read a manifest without any.
            if not plain[access]:
                del plain[access]
        data = json.dumps(plain, sort_keys=True, indent=1).encode() + b"\n"
        if len(data) > MAX_MANIFEST:
            raise InvalidArchive(
                f"So many tasks would need a manifest of over {MAX_MANIFEST >> 20} MiB; export "
                "some at a time (--task)."
            )
        return data


_MANIFEST = TypeAdapter(Manifest)


def ordered(tasks: Iterable[Task]) -> list[str]:
    """The digests of tasks' versions, each once, in the order in which the tasks need them."""
    return list(dict.fromkeys(digest for task in tasks for digest in sorted(digests_of(task))))


def read_manifest(data: bytes) -> Manifest:
    """Read one from whoever it may be; raises InvalidArchive naming what is wrong with it."""
    try:
        plain = parse(data, "The manifest", MAX_MANIFEST)
        found = plain.get("format")
        if found != FORMAT:
            raise InvalidArchive(
                f"The archive has format {found!r}; this release reads {FORMAT}. Import it with "
                "the release that wrote it, or a later one."
            )
        manifest = _MANIFEST.validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidArchive(f"The manifest is wrong at {where}: {first['msg']}.") from None
    except DeltaError as error:
        raise InvalidArchive(str(error)) from error
    _require(
        _knows(plain, json.loads(manifest.written())),
        "The manifest tells what this release does not know; import it with a later one.",
    )
    _check(manifest)
    return manifest


def _knows(given: Any, understood: Any) -> bool:
    """Whether all that was given is in what was understood of it."""
    if isinstance(given, dict) and isinstance(understood, dict):
        return all(key in understood and _knows(given[key], understood[key]) for key in given)
    if isinstance(given, list) and isinstance(understood, list):
        return len(given) == len(understood) and all(map(_knows, given, understood))
    return given == understood


def _check(manifest: Manifest) -> None:
    keys = [(entry.base, entry.task.name) for entry in manifest.tasks]
    _require(len(set(keys)) == len(keys), "The manifest names a task twice.")
    for entry in manifest.tasks:
        _require(_BASE.fullmatch(entry.base) is not None, "The manifest names a base that is none.")
        try:
            _check_task(entry.task)
        except (DeltaError, InvalidArchive, RequestError) as error:
            raise InvalidArchive(f"Task {str(entry.task.name)!r}: {error}") from error
    try:
        _check_access(manifest)
    except RequestError as error:
        raise InvalidArchive(str(error)) from error
    digests = [blob.digest for blob in manifest.blobs]
    expected = ordered(entry.task for entry in manifest.tasks)
    _require(digests == expected, "The manifest's blobs are not those of its tasks, in order.")
    for blob in manifest.blobs:
        _require(
            all(_FILE.fullmatch(name) and len(name) <= _MAX_FILE_NAME for name in blob.files)
            and all(0 <= size < _MAX_NUMBER for size in blob.files.values()),
            f"The files of blob {blob.digest} have wrong names or sizes.",
        )


def _check_access(manifest: Manifest) -> None:
    keys = manifest.keys
    for key in keys:
        sound = is_plain(key.name) and key.name not in NO_KEYS and bool(key.scopes)
        _require(sound and is_digest(key.digest), "The manifest has a key that is none.")
        if key.tenant != SHARED:
            check_tenant(key.tenant)
    for named in ([key.name for key in keys], [key.digest for key in keys]):
        _require(len(set(named)) == len(named), "The manifest has a key twice.")
    for tenant in manifest.tenants:
        check_tenant(tenant.name)
        given = (each for each in astuple(tenant)[1:] if each is not None)
        sound = all(0 < each < _MAX_NUMBER for each in given)
        _require(sound, f"The limits of tenant '{tenant.name}' are wrong.")
    names = [tenant.name for tenant in manifest.tenants]
    _require(len(set(names)) == len(names), "The manifest has a tenant twice.")


def _check_task(task: Task) -> None:
    check_name(task.name)
    tenant = task.name.tenant
    _require(
        tenant == SHARED or (len(tenant) <= MAX_TENANT and is_plain(tenant)),
        "its tenant's name is none.",
    )
    numbers = [version.number for version in task.versions]
    _require(
        bool(numbers) and numbers == sorted(set(numbers)) and not task.damaged,
        "its versions must have a number each, in order.",
    )
    _require(numbers[0] > 0 and numbers[-1] <= task.latest < _MAX_NUMBER, "a number is wrong.")
    _require(len(digests_of(task)) == len(numbers), "two of its versions have the same files.")
    needed = {*task.aliases.values(), *(() if task.active is None else (task.active,))}
    if task.traffic is not None:
        _check_traffic(task.traffic)
        needed |= task.traffic.numbers
    _require(needed <= set(numbers), "it names a version that it does not have.")
    _require(len(task.aliases) <= MOST_ALIASES, f"it has more than {MOST_ALIASES} aliases.")
    for alias in task.aliases:
        check_alias(alias)
    for version in task.versions:
        _check_version(version, str(task.name))


def _check_traffic(traffic: Traffic) -> None:
    shares = traffic.shares.values()
    _require(
        len(traffic.shares) <= MAX_VERSIONS and all(0 <= share < _MAX_NUMBER for share in shares),
        "its traffic has wrong shares.",
    )
    if (bound := traffic.bound) is not None:
        sound = 0 <= bound.errors <= 1 and bound.window > 0 and bound.requests > 0
        _require(sound, "its traffic has a wrong bound.")


def _check_version(version: Version, task: str) -> None:
    ref, extent = version.ref, version.extent
    _require(ref.task == task and is_digest(ref.digest), "a version is of another task.")
    _require(len(version.card) <= MAX_CARD, f"a card is longer than {MAX_CARD} characters.")
    for kind in version.kinds:
        kind_named(kind)
    measures = (version.width, version.rank, version.bytes, *version.dimensions)
    measures += astuple(extent)
    _require(all(0 <= each < _MAX_NUMBER for each in measures), "a measure is wrong.")


def _require(sound: bool, otherwise: str) -> None:
    if not sound:
        raise InvalidArchive(otherwise)
