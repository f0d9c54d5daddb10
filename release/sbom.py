"""Writes what a release is made of, as CycloneDX has it: `python -m release.sbom FILE`.

The page's files from npm are parts of the server, with their licences and digests; the packages
that it was tested with, those of requirements.txt, are what it depends on, with the licences that
they name.
"""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.licences import written
from release.tree import CLIENT, ROOT, epoch, project, version

VENDORED = ROOT / "server" / "page" / "vendor" / "README.md"
_SPEC = "1.6"
_ROW = re.compile(r"\| `(\S+)` \| (\S+) (\S+) \| `\S+` \| (\S+) \| `(\w{64})` \|")


def sbom() -> str:
    """The document, valid by its schema; raises SystemExit where the tool does not write it."""
    # It warns of what is added below.
    command = [sys.executable, "-P", "-W", "ignore", "-m", "cyclonedx_py", "requirements", "-"]
    about = ["--pyproject", str(ROOT / "pyproject.toml"), "--sv", _SPEC, "--output-reproducible"]
    done = subprocess.run(
        [*command, *about],
        input=f"{(ROOT / 'requirements.txt').read_text()}polydelta-client=={version()}\n",
        env=os.environ | {"SOURCE_DATE_EPOCH": epoch()},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit("cyclonedx-py did not write what the release is made of.")
    document = json.loads(done.stdout)
    server = document["metadata"]["component"]
    server |= {"version": version(), "components": vendored()}
    _license(document["components"])
    document["dependencies"].append({"ref": server["bom-ref"], "dependsOn": _direct(document)})
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    _validate(text)
    return text


def vendored() -> list[dict[str, Any]]:
    """The components that the page brings, a file each, from the table beside them."""
    rows = _ROW.findall(VENDORED.read_text())
    return [
        {
            "type": "library",
            "bom-ref": f"vendored-{file}",
            "name": package,
            "version": release,
            "description": f"server/page/vendor/{file}",
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "licenses": [{"license": {"id": licence}}],
            "purl": f"pkg:npm/{package}@{release}",
        }
        for file, package, release, licence, digest in rows
    ]


def licence(said: str) -> list[dict[str, Any]]:
    """What a component says of its licence: an expression of SPDX's, or words."""
    try:
        return [{"expression": canonicalize_license_expression(said)}]
    except InvalidLicenseExpression:
        return [{"license": {"name": said}}]


def _license(components: list[dict[str, Any]]) -> None:
    table = written() | {"polydelta-client": project(CLIENT)["license"]}
    for each in components:
        each["licenses"] = licence(table[canonicalize_name(each["name"])])


def _direct(document: dict[str, Any]) -> list[str]:
    """References to the packages that pyproject.toml itself asks for."""
    asked = {canonicalize_name(Requirement(line).name) for line in project()["dependencies"]}
    parts = {canonicalize_name(each["name"]): each["bom-ref"] for each in document["components"]}
    if missing := asked - parts.keys():
        raise SystemExit(f"requirements.txt lacks {', '.join(sorted(missing))}: make lock")
    return sorted(parts[name] for name in asked)


def _validate(text: str) -> None:
    # These are in the environment that builds releases alone.
    schema = import_module("cyclonedx.schema").SchemaVersion.from_version(_SPEC)
    validator = import_module("cyclonedx.validation.json").JsonStrictValidator(schema)
    if error := validator.validate_str(text):
        raise SystemExit(f"What the release is made of is not valid CycloneDX: {error}")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(sbom(), encoding="utf-8")
