"""Sources: only directories, and for strangers only those that the operator allows."""

from pathlib import Path

import pytest

from server.errors import InvalidRequest
from server.registry.sources import fetch_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "allowed" / "my delta").mkdir(parents=True)
    (tmp_path / "secret").mkdir()
    (tmp_path / "allowed" / "way out").symlink_to(tmp_path / "secret")
    return tmp_path


def test_paths_and_file_uris_name_directories(folder: Path) -> None:
    place = folder / "allowed" / "my delta"
    assert fetch_source(str(place)) == place
    assert fetch_source(place.as_uri()) == place
    assert fetch_source(place.as_uri().replace("file://", "file://localhost")) == place
    assert fetch_source(place.as_uri(), roots=[folder / "allowed"]) == place


@pytest.mark.parametrize(
    "source",
    [
        "",
        "\0",
        "hf://org/name",
        "s3://bucket/key",
        "http://169.254.169.254/",
        "file://elsewhere/tmp",
        "/nonexistent/place",
        "/etc/passwd",
    ],
)
def test_anything_else_is_refused(source: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        fetch_source(source)
    assert caught.value.param == "source"


@pytest.mark.parametrize(
    "source",
    ["secret", "allowed/../secret", "allowed/way out", "allowed/%2e%2e/secret", ".", "absent"],
)
def test_no_way_leads_out_of_the_roots(source: str, folder: Path) -> None:
    for uri in (f"{folder}/{source}", f"file://{folder}/{source}"):
        with pytest.raises(InvalidRequest, match=r"outside|not a directory"):
            fetch_source(uri, roots=[folder / "allowed"])


def test_without_roots_nothing_is_allowed(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="outside"):
        fetch_source(str(folder / "allowed"), roots=[])
