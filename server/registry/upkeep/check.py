"""Checking a store: its database, every blob, and what servers left behind; nothing is changed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from server.errors import InvalidSettings, UnsignedDelta
from server.registry.catalogue.faults import faults
from server.registry.catalogue.opening import require_named
from server.registry.catalogue.salvage import salvage
from server.registry.layout import BLOBS, BLOBS_ASIDE, DAMAGED, DATABASE, is_digest
from server.registry.run import ended
from server.registry.signatures import Signatures
from server.registry.store import size_of
from server.registry.upkeep.blobs import is_free, places_of, spoiled_of
from server.registry.upkeep.contents import Contents
from server.registry.upkeep.finding import Finding
from server.registry.upkeep.snapshot import snapshot

_PUT_AGAIN = "Put the same files again, or activate another version."
_FETCHED = (
    "A server with this store fetches it, where another one or --blobs has it; else put the same "
    "files again, or activate another version."
)
_RESTORE = "Put it again, or restore the database from a back-up."
_NEW_KEY = "It opens nothing: polydelta key revoke takes it out."
_LIMITS = "No limits hold until they are set again: polydelta tenant set."
_GC = "polydelta store gc removes it, as does the next server that starts."

Begin = Callable[[int], Callable[[], None]]
"""Is told how many steps there will be, and gives what to call after each."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, `bytes` of all blobs among it, and what was found."""

    tasks: int
    versions: int
    blobs: int
    bytes: int
    findings: tuple[Finding, ...]


def check(
    root: Path, begin: Begin, signatures: Signatures | None = None, *, url: str | None = None
) -> Report:
    """Look at a store, while servers may change it; with `signatures`, at these, too.

    With a URL its registry is there, in PostgreSQL. Raises InvalidSettings where there is no store,
    or it is of another registry, RegistryUnavailable where that cannot be read.
    """
    if not (root / BLOBS).is_dir():
        raise InvalidSettings(f"{root} is no store: it has no {BLOBS}. Name another (--store).")
    contents, findings = _database(root, url)
    places = places_of(root)
    spoiled = spoiled_of(places, begin(len(places)))
    if contents is not None:
        # Servers went on meanwhile: what they removed since is not missed.
        latest, _ = _database(root, url)
        gone = _PUT_AGAIN if url is None else _FETCHED
        findings += _blobs(contents, latest or contents, places, spoiled, gone)
        if signatures is not None:
            findings += _unsigned(latest or contents, places, signatures)
    else:
        contents = Contents({}, (), (), frozenset())
        findings += [_spoiled(digest, []) for digest in spoiled]
    findings += [*_beside(root), *_damaged(root, contents)]
    return Report(
        tasks=sum(map(len, contents.tasks.values())),
        versions=sum(len(task.versions) for task in contents.all()),
        blobs=len(places),
        bytes=sum(map(size_of, places.values())),
        findings=tuple(sorted(findings)),
    )


def _database(root: Path, url: str | None) -> tuple[Contents | None, list[Finding]]:
    require_named(url, root)
    path = root / DATABASE
    if url is None and not path.exists():
        advice = "Restore it from a back-up before a server starts: that would set the blobs aside."
        return None, [Finding("database", path.name, "is not there", advice)]
    if url is None and (told := faults(path)):
        advice = "Restore a back-up; else the next server that starts keeps to what is sound."
        return None, [Finding("database", path.name, each, advice) for each in told]
    with snapshot(root, url) as connection:
        contents = Contents.of(connection)
    damaged = [("task", name) for name in contents.damaged]
    damaged += [("version", name) for name in contents.damaged_versions]
    return contents, [
        Finding(about, name, "is not as it was written", _RESTORE) for about, name in damaged
    ] + [
        Finding(about, name, "is not as it was written", advice)
        for about, names, advice in (
            ("key", contents.damaged_keys, _NEW_KEY),
            ("tenant", contents.damaged_tenants, _LIMITS),
        )
        for name in names
    ]


def _blobs(
    before: Contents,
    latest: Contents,
    places: Mapping[str, Path],
    spoiled: Iterable[str],
    gone: str,
) -> Iterable[Finding]:
    needed = before.digests & latest.digests
    names = _names(latest)
    for digest in needed - places.keys():
        yield Finding("blob", digest, f"is gone: {', '.join(names[digest])}", gone)
    # One that was read while a server put it again is whole by now.
    again = {digest: places[digest] for digest in needed.intersection(spoiled)}
    for digest in spoiled_of(again, lambda: None):
        yield _spoiled(digest, names[digest])
    for digest in places.keys() - before.digests - latest.digests:
        if is_free(places[digest]):
            yield Finding("leftover", digest, "is a blob of no version", _GC)


def _unsigned(
    contents: Contents, places: Mapping[str, Path], signatures: Signatures
) -> Iterable[Finding]:
    names = _names(contents)
    for digest in names.keys() & places.keys():
        try:
            signatures.check(places[digest])
        except UnsignedDelta as error:
            fault = "is not signed as --require-signature demands"
            yield Finding("version", ", ".join(names[digest]), fault, str(error))
        except OSError:
            # It went while it was read, or was told of already.
            continue


def _names(contents: Contents) -> Mapping[str, list[str]]:
    """The versions that have each digest, as `spam@3`."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for task in contents.all():
        for version in task.versions:
            names[version.ref.digest].append(f"{task.name}@{version.number}")
    return names


def _spoiled(digest: str, names: list[str]) -> Finding:
    of = f": {', '.join(names)}" if names else ""
    return Finding("blob", digest, f"is damaged{of}", _PUT_AGAIN)


def _beside(root: Path) -> Iterable[Finding]:
    for path in (root / BLOBS).iterdir():
        if not is_digest(path.name):
            yield Finding("blob", path.name, "is no blob's name", "Look at it, and move it away.")
    for path in ended(root):
        yield Finding("leftover", path.name, "is of a server that ended", _GC)
    for path in root.glob(f"{BLOBS_ASIDE}*"):
        advice = (
            f"To have these tasks again, stop, restore {DATABASE} and rename this to {BLOBS}; "
            "to give them up, remove it."
        )
        yield Finding("aside", path.name, "was set aside without its database", advice)


def _damaged(root: Path, contents: Contents) -> Iterable[Finding]:
    """Databases that were set aside, with what is still missed of them."""
    known = {str(task.name) for task in contents.all()}
    for path in root.glob(f"{DAMAGED}*.sqlite3"):
        with TemporaryDirectory(prefix="polydelta-") as scratch:
            names = salvage(path, Path(scratch)).names
        missed = [name for name in names if name.partition("@")[0] not in known] or [
            "nothing known"
        ]
        yield Finding(
            "aside",
            path.name,
            f"was a damaged database; missed of it: {', '.join(missed)}",
            "Put these again or restore a back-up, then move it elsewhere: until then no blob is "
            "removed.",
        )
