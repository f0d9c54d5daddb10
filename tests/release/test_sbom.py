"""What a release is made of: the page's parts, and the document's place in a wheel."""

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path

from release.licences import licences, written
from release.sbom import licence, vendored
from release.wheels import build_pure, build_source
from tests.test_project import ROOT


def test_every_vendored_file_is_a_part_with_its_licence_and_digest() -> None:
    folder = ROOT / "server" / "page" / "vendor"
    files = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.suffix in {".mjs", ".js", ".css"}
    }
    parts = {part["description"].rpartition("/")[2]: part for part in vendored()}
    assert parts.keys() == files.keys()
    # One is changed after it is fetched; its digest is that of npm's.
    assert {name for name in files if parts[name]["hashes"][0]["content"] != files[name]} == {
        "hooks.mjs"
    }
    licences = {part["name"]: part["licenses"][0]["license"]["id"] for part in parts.values()}
    assert licences == {"preact": "MIT", "htm": "Apache-2.0", "uplot": "MIT"}


def test_every_locked_package_has_the_licence_that_it_names() -> None:
    assert written() == licences()
    assert licence("MIT AND Zlib") == [{"expression": "MIT AND Zlib"}]
    assert licence("BSD License") == [{"license": {"name": "BSD License"}}]


def test_a_wheel_brings_the_document_that_was_written_for_it(tmp_path: Path) -> None:
    with tarfile.open(build_source(tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.glob("*/")
    (tree / "polydelta.cdx.json").write_text(json.dumps({"bomFormat": "CycloneDX"}))
    with zipfile.ZipFile(build_pure(tmp_path, tree)) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("polydelta.cdx.json")]
        assert name.endswith(".dist-info/sboms/polydelta.cdx.json")
        assert json.loads(wheel.read(name)) == {"bomFormat": "CycloneDX"}
