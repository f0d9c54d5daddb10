"""`python -m tests.fuzz.api SCHEMATHESIS [OPTION …]`: hold a server to its OpenAPI document.

Starts a server whose tasks generate, classify and tag, and schemathesis, whose command is given,
against it. `findings.json` beside this file lists what it finds that is meant so, with the reasons;
the exit status tells of others.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from deltas.formats import native
from polydelta_client import Polydelta
from tests import samples
from tests.soak.served import Served, tiny_server

_HERE = Path(__file__).parent


def _put_tasks(served: Served) -> None:
    deltas = {
        "lora": samples.generator("lora", served.base),
        "spam": samples.classifier(served.base, ("ham", "spam")),
        "names": samples.tagger(served.base, ("O", "B-PER", "I-PER")),
    }
    deltas |= {f"spare-{index}": deltas["lora"] for index in range(3)}
    with Polydelta(served.url) as client, tempfile.TemporaryDirectory() as folder:
        for name, delta in deltas.items():
            native.write(delta, Path(folder) / name, served.base)
            client.tasks.put(name, Path(folder) / name)


def main(schemathesis: str, *options: str) -> int:
    """Run schemathesis with more options, such as `--max-time SECONDS`; its exit status."""
    command = [
        schemathesis, "--config-file", str(_HERE / "schemathesis.toml"), "run", "--checks", "all",
        "--baseline", str(_HERE / "findings.json"), *options,
    ]  # fmt: skip
    with tiny_server() as served:
        _put_tasks(served)
        return subprocess.run([*command, f"{served.url}/openapi.json"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
