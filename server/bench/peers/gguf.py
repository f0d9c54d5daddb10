"""The GGUF files of a base and its deltas, made by llama.cpp's own scripts."""

import json
from pathlib import Path

from server.bench.peers.conversion import convert
from server.bench.peers.environment import Environment
from server.bench.peers.peer import Setup

_SCRIPTS = Path(__file__).parents[1] / "runners" / "scripts.py"
_TYPES = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}


def to_gguf(
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
    convert([str(environment.python), str(_SCRIPTS)], json.dumps(commands))
    if quantisation:
        quantiser = environment.directory / "build" / "bin" / "llama-quantize"
        small = folder / f"base-{quantisation}.gguf"
        convert([str(quantiser), str(base), str(small), quantisation])
        base = small
    return base, list(loras.values())
