"""`python -m tests.fuzz.api SCHEMATHESIS [OPTION …]`: hold a server to its OpenAPI document.

Starts a server with a task of each type and schemathesis, whose command is given, against it.
`findings.json` beside this file lists what it finds that is meant so, with the reasons; the exit
status tells of others.
"""

import subprocess
import sys
from pathlib import Path

from deltas.base import BaseSpec
from deltas.delta import Delta
from tests import samples
from tests.soak.served import put, tiny_server

_HERE = Path(__file__).parent


def _tasks(base: BaseSpec) -> dict[str, Delta]:
    lora = samples.generator("lora", base)
    return {
        "lora": lora,
        "spam": samples.classifier(base, ("ham", "spam")),
        "names": samples.tagger(base, ("O", "B-PER", "I-PER")),
        "ranker": samples.classifier(base, ("relevant",)),
        "embedder": samples.embedder(),
        **{f"spare-{index}": lora for index in range(3)},
    }


def main(schemathesis: str, *options: str) -> int:
    """Run schemathesis with more options, such as `--max-time SECONDS`; its exit status."""
    command = [
        schemathesis, "--config-file", str(_HERE / "schemathesis.toml"), "run", "--checks", "all",
        "--baseline", str(_HERE / "findings.json"), *options,
    ]  # fmt: skip
    with tiny_server() as served:
        put(served, _tasks(served.base))
        return subprocess.run([*command, f"{served.url}/openapi.json"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
