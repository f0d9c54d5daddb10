"""A Dockerfile's instructions, and an empty directory that stands in for the container."""

import os
import re
import shlex
import shutil
import string
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
IGNORED = shutil.ignore_patterns("__pycache__", "built")
"""What the build context leaves out of the directories that are copied."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, without the flags that only an image builder can follow."""

    name: str
    value: str
    flags: str


def stages(file: Path) -> list[list[Instruction]]:
    """Split a Dockerfile at its FROM lines."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    found: list[list[Instruction]] = []
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        match = re.match(r"(?P<name>[A-Z]+)\s+(?P<flags>(--\S+\s+)*)(?P<value>.+)", line)
        if match is None:
            continue
        if match["name"] == "FROM":
            found.append([])
        found[-1].append(Instruction(match["name"], match["value"].strip(), match["flags"]))
    return found


@dataclass
class Container:
    """Follows a stage's instructions on this machine; every absolute path lies under `root`."""

    root: Path
    arguments: Mapping[str, str]
    directory: Path = field(init=False)
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.directory = self.root
        # Compiling every module that pip installs takes as long as the rest of the test.
        self.environment = {**os.environ, "PIP_NO_COMPILE": "1"}
        # An image has `python`; a machine's may be the one that runs this.
        python = Path(sys.executable).parent
        self.environment["PATH"] = f"{python}{os.pathsep}{os.environ['PATH']}"
        # It has no sources but those that are copied.
        self.environment.pop("PYTHONPATH", None)

    def lend(self) -> None:
        """Let the image's environment find the packages of this one; its own come first.

        A compiler that knows no instruction set but the plainest builds its kernels for that alone.
        """
        (packages,) = Path(self.environment["VIRTUAL_ENV"]).glob("lib/python*/site-packages")
        (packages / "lent.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        compiler = self.root / "compiler"
        compiler.write_text('#!/bin/sh\ncase "$*" in *-march=*) exit 1;; esac\nexec c++ "$@"\n')
        compiler.chmod(0o755)
        self.environment["CXX"] = str(compiler)

    def follow(self, instruction: Instruction) -> None:
        """Carry out one instruction; those that only describe an image change nothing."""
        match instruction.name:
            case "ARG":
                name, _, default = instruction.value.partition("=")
                self.environment[name] = self.arguments.get(name, default)
            case "ENV":
                for pair in shlex.split(instruction.value):
                    name, _, value = pair.partition("=")
                    self.environment[name] = self._expanded(self._beneath(value))
            case "WORKDIR":
                self.directory = Path(self._beneath(instruction.value))
                self.directory.mkdir(parents=True, exist_ok=True)
            case "COPY" if "--from" not in instruction.flags:
                self._copy(*shlex.split(self._expanded(instruction.value)))
            case "RUN":
                self._run(instruction.value)
            case _:
                pass

    def _expanded(self, text: str) -> str:
        return string.Template(text).substitute(self.environment)

    def _beneath(self, value: str) -> str:
        return re.sub(r"(?:^|(?<=:))/", f"{self.root}/", value)

    def _copy(self, *paths: str) -> None:
        *sources, target = paths
        for source in (ROOT / name for name in sources):
            goal = self.directory / target
            if source.is_dir():
                shutil.copytree(source, goal, ignore=IGNORED)
            else:
                shutil.copy(source, goal)

    def _run(self, command: str) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command}\n{done.stdout}")
