"""What is vendored is what npm has, and its licences lie beside it."""

import hashlib
import re
from pathlib import Path

from server.api.routes.page import FOLDER

VENDOR = FOLDER / "vendor"
ROW = re.compile(r"\| `(?P<file>[^`]+)` \| (?P<package>\S+) .* \| `(?P<digest>[0-9a-f]{64})` \|")
IMPORT = (b'from"./preact.mjs"', b'from"preact"')


def _digest(path: Path) -> str:
    content = path.read_bytes()
    if path.name == "hooks.mjs":
        assert content.count(IMPORT[0]) == 1
        content = content.replace(*IMPORT)
    return hashlib.sha256(content).hexdigest()


def test_each_vendored_file_has_its_digest_and_its_licence() -> None:
    rows = list(ROW.finditer((VENDOR / "README.md").read_text()))
    assert {row["file"]: row["digest"] for row in rows} == {
        path.name: _digest(path)
        for path in VENDOR.iterdir()
        if path.suffix in {".mjs", ".js", ".css"}
    }
    assert all((VENDOR / f"LICENSE.{row['package']}").is_file() for row in rows)
