"""Sources: only directories, and for strangers only those that the operator allows."""

from pathlib import Path

import pytest

from deltas.base import BaseSpec
from deltas.errors import InvalidDelta, UnsafeDelta
from deltas.folder import Folder
from server.errors import InvalidRequest
from server.registry.names import shared
from server.registry.registry import Registry
from server.registry.sources.directory import asked_source, own_source
from tests.server.registry.prompts import number_of, write_prompt


@pytest.fixture
def folder(base: BaseSpec, tmp_path: Path) -> Path:
    for place in ("allowed/my delta", "secret", "allowed-not"):
        write_prompt(tmp_path / place, base, 1)
    (tmp_path / "allowed" / "way out").symlink_to(tmp_path / "secret")
    (tmp_path / "allowed" / "newest").symlink_to("my delta")
    (tmp_path / "allowed" / "empty").mkdir()
    (tmp_path / "allowed" / "file").touch()
    return tmp_path


def content(folder: Folder) -> bytes:
    with folder.open("delta.json") as (file, _):
        return file.read()


def test_paths_and_file_uris_name_directories(folder: Path) -> None:
    place = folder / "allowed" / "my delta"
    wanted = (place / "delta.json").read_bytes()
    for source in (
        str(place),
        place.as_uri(),
        place.as_uri().replace("file://", "file://localhost"),
        str(folder / "allowed" / "newest"),
        str(folder / "allowed" / "empty" / ".." / "my delta"),
    ):
        assert content(own_source(source)) == wanted
        assert content(asked_source(source, [folder / "secret", folder / "allowed"])) == wanted


def test_the_operator_s_home_is_written_as_usual(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(folder))
    assert content(own_source("~/secret"))
    with pytest.raises(InvalidRequest):
        asked_source("~/secret", [folder])


@pytest.mark.parametrize(
    "source",
    [
        "",
        "\0",
        "hf://org/name",
        "s3://bucket/key",
        "http://169.254.169.254/",
        "file://elsewhere/tmp",
        "http://[",
        "/nonexistent/place",
        "/etc/passwd",
        "~nobody-of-this-name/x",
    ],
)
def test_anything_else_is_refused(source: str) -> None:
    for find in (own_source, lambda source: asked_source(source, [Path("/")])):
        with pytest.raises(InvalidRequest) as caught:
            find(source)
        assert caught.value.param == "source"


def test_one_answer_tells_nothing_of_what_is_there(folder: Path) -> None:
    places = [
        "secret",
        "allowed/../secret",
        "allowed/way out",
        "allowed/%2e%2e/secret",
        "allowed-not",
        ".",
        "absent",
        "allowed/absent",
        "allowed/empty",
        "allowed/file",
        "allowed/my delta/delta.json",
    ]
    sources = [uri for place in places for uri in (f"{folder}/{place}", f"file://{folder}/{place}")]
    sources += ["~root", "~nobody-of-this-name", "/etc/passwd", "/root/.ssh", "\0", "x" * 5000]
    answers: set[str] = set()
    for source in sources:
        with pytest.raises(InvalidRequest) as caught:
            asked_source(source, [folder / "allowed"])
        answers.add(str(caught.value))
    (answer,) = answers
    assert "task add" in answer
    assert str(folder) not in answer


def test_without_roots_nothing_is_allowed(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="--source-roots"):
        asked_source(str(folder / "allowed" / "my delta"), [])


def test_a_pickle_within_the_roots_is_told(folder: Path) -> None:
    (folder / "allowed" / "empty" / "adapter_model.bin").touch()
    with pytest.raises(UnsafeDelta):
        asked_source(str(folder / "allowed" / "empty"), [folder])


def test_a_delta_in_the_hub_s_cache_is_put_by_its_path(
    registry: Registry, base: BaseSpec, tmp_path: Path
) -> None:
    repository = tmp_path / "hub" / "models--someone--something"
    place = write_prompt(repository / "snapshots" / ("0" * 40), base, 7)
    (repository / "blobs").mkdir()
    for number, path in enumerate(sorted(place.iterdir())):
        path.rename(repository / "blobs" / str(number))
        path.symlink_to(f"../../blobs/{number}")
    for folder in (own_source(str(place)), asked_source(str(place), [tmp_path])):
        task, _ = registry.put(shared("spam"), folder)
        assert number_of(registry.load(task.active.ref)) == 7
        registry.remove(shared("spam"))
    with pytest.raises(InvalidDelta):
        registry.put(shared("spam"), asked_source(str(place), [place]))
