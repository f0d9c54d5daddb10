"""A server that takes signed deltas alone, asked in every way in which one may come."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from polydelta_client import BadRequestError, Polydelta
from server.build import build_engine
from server.errors import InvalidSettings
from server.settings import Settings
from tests import samples
from tests.file_server import FileServer, serving_files
from tests.server.api.live import Live, serving, wait_until
from tests.server.api.problems import check
from tests.signing import Pair
from tests.sums import finish


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair.make(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def files() -> Iterator[FileServer]:
    with serving_files() as files:
        yield files


@pytest.fixture(scope="module")
def demanding(
    files: FileServer, decoder: Path, pair: Pair, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("demanding")
    (folder / "watched").mkdir()
    with serving(
        decoder,
        folder,
        require_signature=pair.public,
        watch=folder / "watched",
        resolve=f"{files.url}/resolved/{{task}}/",
        sources=[f"{files.url}/*"],
        private_sources=True,
        drain_timeout=0,
    ) as live:
        yield live


@pytest.fixture(scope="module")
def unsigned(demanding: Live) -> Path:
    return demanding.write("unsigned", samples.generator("lora", demanding.spec))


@pytest.fixture(scope="module")
def signed(demanding: Live, pair: Pair) -> Path:
    return pair.sign(demanding.write("signed", samples.generator("lora", demanding.spec)))


def test_an_upload(demanding: Live, signed: Path, unsigned: Path) -> None:
    with Polydelta(demanding.url) as client:
        with pytest.raises(BadRequestError, match="model_signing sign key"):
            client.tasks.put("uploaded", unsigned)
        client.tasks.put("uploaded", signed)
    demanding.infer("uploaded", "x", max_tokens=1)


def test_a_source_and_vllms_way(
    demanding: Live, signed: Path, unsigned: Path, files: FileServer
) -> None:
    for at, folder in enumerate((unsigned, signed)):
        sources = (folder.as_uri(), files.put(f"/put/{at}", folder))
        for way, source in enumerate(sources):
            put = demanding.http.put(f"/v1/tasks/put-{way}", json={"source": source})
            body = {"lora_name": f"loaded-{way}", "lora_path": source}
            loaded = demanding.post("/v1/load_lora_adapter", **body)
            if folder is unsigned:
                check(put, 400, "unsigned_delta")
                check(loaded, 400, "unsigned_delta")
            else:
                assert (put.status_code, loaded.status_code) == (201, 200)


def test_a_task_that_is_looked_for(
    demanding: Live, signed: Path, unsigned: Path, files: FileServer
) -> None:
    files.put("/resolved/sound", signed)
    files.put("/resolved/unsound", unsigned)
    demanding.infer("sound", "x", max_tokens=1)
    refused = demanding.post("/v1/infer", task="unsound", input="x")
    check(refused, 404, "task_not_found", "task")


def test_a_folder_that_is_watched(
    demanding: Live, signed: Path, unsigned: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, folder in (("watched-unsound", unsigned), ("watched-sound", signed)):
        copied(folder, demanding.folder / "watched" / name)
    wait_until(lambda: demanding.http.get("/v1/tasks/watched-sound").status_code == 200)
    wait_until(lambda: "watched-unsound is not served" in caplog.text)
    assert demanding.http.get("/v1/tasks/watched-unsound").status_code == 404


def test_what_the_operator_names(
    decoder: Path, pair: Pair, signed: Path, unsigned: Path, tmp_path: Path
) -> None:
    settings = Settings(
        base=str(decoder),
        store=tmp_path / "store",
        kv_cache_gb=0,
        threads=1,
        tasks={"own": str(unsigned)},
        require_signature=pair.public,
    )
    with pytest.raises(InvalidSettings, match=r"'own' cannot be served: .* signed deltas"):
        build_engine(settings)
    engine = build_engine(settings.model_copy(update={"tasks": {"own": str(signed)}}))
    engine.registry.close()


def copied(folder: Path, place: Path) -> None:
    """Bring a folder to a place, whole."""
    coming = place.parent.parent / f"coming-{place.name}"
    shutil.copytree(folder, coming)
    finish(coming).rename(place)
