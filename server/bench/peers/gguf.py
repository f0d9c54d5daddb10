"""The GGUF files of a base and its deltas, made by llama.cpp's own scripts."""

import json
import subprocess
from pathlib import Path

from server.bench.errors import BenchError
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Setup

_SCRIPTS = Path(__file__).parents[1] / "runners" / "scripts.py"
_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


def convert(
    environment: Environment, source: Path, setup: Setup, folder: Path, quantisation: str | None
) -> tuple[Path, list[Path]]:
    """Write a base and its deltas into `folder`, the base quantised if asked; gives the files.

    Raises BenchError with the end of a script's output if it fails.
    """
    folder.mkdir(parents=True)
    kind = _TYPES[setup.dtype]
    base = folder / "base.gguf"
    loras = {name: folder / f"{name}.gguf" for name in setup.deltas}
    exact = ("--outtype", kind, "--outfile")
    commands = [
        [str(source / "convert_hf_to_gguf.py"), *exact, str(base), str(setup.base)],
        *(
            [
                str(source / "convert_lora_to_gguf.py"),
                *("--base", str(setup.base)),
                *(*exact, str(file), str(setup.deltas[name])),
            ]
            for name, file in loras.items()
        ),
    ]
    _run([str(environment.python), str(_SCRIPTS)], json.dumps(commands))
    if quantisation:
        quantiser = environment.directory / "build" / "bin" / "llama-quantize"
        small = folder / f"base-{quantisation}.gguf"
        _run([str(quantiser), str(base), str(small), quantisation], "")
        base = small
    return base, list(loras.values())


def _run(command: list[str], text: str) -> None:
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace")[-1000:]
        raise BenchError(f"{Path(command[-1]).name} failed to convert the base:\n{last}")
