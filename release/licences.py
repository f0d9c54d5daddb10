"""Writes what the locked packages say of their licences: `python -m release.licences`.

It asks the environment that runs it, which has the packages of requirements.txt, as a release's own
has not.
"""

import json
from importlib.metadata import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.tree import ROOT

TABLE = ROOT / "release" / "licences.json"
_SPDX = {
    "Apache": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""Identifiers of what is said in other words; words that leave it open stand for themselves."""


def locked() -> list[str]:
    """The packages of requirements.txt, their names as indexes compare them."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [canonicalize_name(Requirement(line).name) for line in lines]


def licences() -> dict[str, str]:
    """What each says of itself: an expression of SPDX's, or words."""
    return {name: _said(name) for name in locked()}


def written() -> dict[str, str]:
    """The table; raises SystemExit where it is not of the packages that are locked now."""
    table: dict[str, str] = json.loads(TABLE.read_text())
    if table.keys() != set(locked()):
        raise SystemExit(
            "release/licences.json is of other packages than requirements.txt: make lock"
        )
    return table


def _said(name: str) -> str:
    told = metadata(name).json
    heads = [line.split(" :: ")[-1] for line in told.get("classifier", ()) if "License ::" in line]
    found = str(told.get("license_expression") or " AND ".join(heads) or told.get("license", ""))
    return _SPDX.get(found, found)


if __name__ == "__main__":
    TABLE.write_text(json.dumps(licences(), indent=2) + "\n")
