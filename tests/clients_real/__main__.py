"""`python -m tests.clients_real PYTHON`: let clients of the field speak to a server.

PYTHON has them installed (`requirements-clients.txt`), in an environment of its own; the server is
of a tiny base, with tasks that generate, embed, and rank.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deltas.base import HEAD_SITE
from deltas.delta import Delta, Part, TaskType
from deltas.formats import native
from polydelta_client import Polydelta
from tests import samples
from tests.soak.served import Served, tiny_server

_HERE = Path(__file__).parent


def _put_tasks(served: Served) -> None:
    mean = Part("head", HEAD_SITE, {}, {"pooling": "mean", "normalize": True})
    deltas = {
        "lora": samples.generator("lora", served.base),
        "spam": samples.classifier(served.base, ("ham", "spam")),
        "ranker": samples.classifier(served.base, ("relevant",)),
        "embedder": Delta(TaskType.EMBED, (mean,)),
    }
    with Polydelta(served.url) as client, tempfile.TemporaryDirectory() as folder:
        for name, delta in deltas.items():
            native.write(delta, Path(folder) / name, served.base)
            client.tasks.put(name, Path(folder) / name)


def main(python: str, *options: str) -> int:
    """Run the clients' tests with more options of pytest's; its exit status."""
    command = [
        python, "-m", "pytest", "-c", str(_HERE / "pytest.ini"), f"--confcutdir={_HERE}", *options,
    ]  # fmt: skip
    with tiny_server() as served:
        _put_tasks(served)
        variables = {
            **os.environ,
            "POLYDELTA_URL": served.url,
            "OPENAI_API_KEY": "none",
            # It would ask the internet for prices.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        return subprocess.run([*command, str(_HERE)], check=False, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
