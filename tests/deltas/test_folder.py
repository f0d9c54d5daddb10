"""Folders: what is opened is what was there, and no link leads out."""

import gc
import itertools
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from huggingface_hub import snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError

from deltas.errors import InvalidDelta
from deltas.folder import Folder

NAME = "delta.json"
TRIES = 500


def read(folder: Folder, name: str = NAME) -> bytes:
    with folder.open(name) as (file, size):
        content = file.read()
    assert size == len(content)
    return content


def snapshot(cache: Path) -> Path:
    """One revision of a repository as the hub's cache lays it out."""
    repository = cache / "models--someone--something"
    place = repository / "snapshots" / ("0" * 40)
    place.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "abc").write_bytes(b"held")
    (place / NAME).symlink_to("../../blobs/abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return place


def test_a_snapshot_of_the_hub_s_cache_is_read(tmp_path: Path) -> None:
    place = snapshot(tmp_path)
    # The library itself takes this for its cache.
    found = snapshot_download("someone/something", cache_dir=tmp_path, local_files_only=True)
    assert Path(found) == place
    with pytest.raises(LocalEntryNotFoundError):
        snapshot_download("someone/else", cache_dir=tmp_path, local_files_only=True)
    assert read(Folder(place)) == b"held"
    assert read(Folder(place, beneath=tmp_path)) == b"held"
    # An operator who allows no more than the snapshot has not allowed the contents.
    with pytest.raises(InvalidDelta):
        read(Folder(place, beneath=place))


def test_links_within_the_directory_are_followed(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "real").write_bytes(b"held")
    (tmp_path / NAME).symlink_to("inner/real")
    assert read(Folder(tmp_path)) == b"held"


@pytest.mark.parametrize(
    "target",
    [
        "../secret",
        "inner/../../secret",
        "/etc/passwd",
        "out/secret",
        "back",
        "",
        "absent",
        "../../../blobs/abc",
        "../../../secret",
        "../../../../secret",
    ],
)
@pytest.mark.parametrize("hub", [False, True])
def test_links_that_lead_elsewhere_are_not(target: str, hub: bool, tmp_path: Path) -> None:
    place = snapshot(tmp_path / "cache") if hub else tmp_path / "place"
    place.mkdir(exist_ok=True)
    for folder in (tmp_path, tmp_path / "cache", tmp_path / "cache" / "blobs"):
        folder.mkdir(exist_ok=True)
        (folder / "secret").write_bytes(b"secret")
    (place / "inner").mkdir()
    (place / "out").symlink_to(place.parent)
    (place / "back").symlink_to("out/secret")
    (place / NAME).unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        (place / NAME).symlink_to(target)
    with pytest.raises(InvalidDelta):
        read(Folder(place))


def test_what_is_open_stays_what_it_was(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / NAME).write_bytes(b"held")
    folder = Folder(place)
    place.rename(tmp_path / "old")
    place.mkdir()
    (place / NAME).write_bytes(b"other")
    assert read(folder) == b"held"
    assert read(Folder(place)) == b"other"


@contextmanager
def exchanged(spot: Path, *others: Path) -> Generator[None]:
    """Let others take one another's place at a spot all the time."""
    ended = threading.Event()

    def exchange() -> None:
        for other in itertools.cycle(others):
            if ended.is_set():
                break
            other.rename(spot)
            spot.rename(other)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_no_exchange_for_a_link_leads_out(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for place, content in ((top / "inside", b"held"), (tmp_path / "outside", b"secret")):
        place.mkdir(parents=True)
        (place / NAME).write_bytes(content)
    (top / "way out").symlink_to(tmp_path / "outside")
    found: list[bytes] = []
    with exchanged(top / "spot", top / "inside", top / "way out"):
        while len(found) < TRIES or b"held" not in found:
            try:
                found.append(read(Folder(top / "spot", beneath=top)))
            except InvalidDelta:
                found.append(b"")
    assert b"secret" not in found


def test_handles_are_closed_with_the_folder(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"held")
    # What earlier tests left behind may go at any time.
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        read(Folder(tmp_path))
        with pytest.raises(InvalidDelta):
            Folder(tmp_path / "absent")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
