"""`python -m tests.clients_real PYTHON`: let clients of the field speak to a server.

PYTHON has them installed (`requirements-clients.txt`), in an environment of its own; the server is
of a tiny base, with tasks that generate, embed, and rank. What they found becomes docs/clients.md.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deltas.base import BaseSpec
from deltas.delta import Delta
from tests import samples
from tests.clients_real.table import page
from tests.soak.served import put, tiny_server

_HERE = Path(__file__).parent
_PAGE = _HERE.parents[1] / "docs" / "clients.md"
_VERSIONS = (
    "import importlib.metadata as m, json; "
    "print(json.dumps({each.name: each.version for each in m.distributions()}))"
)


def _tasks(base: BaseSpec) -> dict[str, Delta]:
    return {
        "lora": samples.generator("lora", base),
        "spam": samples.classifier(base, ("ham", "spam")),
        "ranker": samples.classifier(base, ("relevant",)),
        "embedder": samples.embedder(),
    }


def main(python: str, *options: str) -> int:
    """Run the clients' tests with more options of pytest's; its exit status."""
    command = [
        python, "-m", "pytest", "-c", str(_HERE / "pytest.ini"), f"--confcutdir={_HERE}", *options,
    ]  # fmt: skip
    modules = Path(python).absolute().parents[1] / "node_modules"
    with (
        tiny_server(max_position_embeddings=4096) as served,
        tempfile.TemporaryDirectory() as folder,
    ):
        put(served, _tasks(served.base))
        report = Path(folder) / "report.xml"
        variables = {
            **os.environ,
            "POLYDELTA_URL": served.url,
            "OPENAI_API_KEY": "none",
            # It would ask the internet for prices.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        if modules.is_dir():
            variables["NODE_MODULES"] = str(modules)
        command += [f"--junitxml={report}", str(_HERE)]
        status = subprocess.run(command, check=False, env=variables).returncode
        if not options:
            _PAGE.write_text(page(report, _versions(python, modules)))
        return status


def _versions(python: str, modules: Path) -> dict[str, str]:
    told = subprocess.run([python, "-c", _VERSIONS], check=True, capture_output=True).stdout
    packages = modules.glob("*/package.json")
    npm = (json.loads(each.read_text()) for each in packages)
    return json.loads(told) | {each["name"]: each["version"] for each in npm}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
