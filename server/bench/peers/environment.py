"""The environment of a peer: its own Python, so that its packages meet nobody else's."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.bench.errors import BenchError
from server.bench.kept import kept

_COMPLETE = "installed.txt"


@dataclass(frozen=True)
class Environment:
    """A directory with a virtual environment in it.

    `requirements` are the packages that it holds once it is `complete`; `torch_index` is a further
    index to find them in, for builds of Torch that the default one has not.
    """

    directory: Path
    requirements: tuple[str, ...]
    torch_index: str | None = None

    @property
    def python(self) -> Path:
        """The interpreter that sees the peer's packages."""
        return self.directory / "venv" / "bin" / "python"

    @property
    def complete(self) -> bool:
        """Whether an installation of these very requirements came to its end."""
        file = self.directory / _COMPLETE
        return file.is_file() and file.read_text().splitlines() == [*self.requirements]

    def create(self) -> None:
        """Make the virtual environment and install the requirements; complete it is not yet."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / _COMPLETE).unlink(missing_ok=True)
        if not self.python.exists():
            self.call([sys.executable, "-P", "-m", "venv", str(self.directory / "venv")])
        index = ["--extra-index-url", self.torch_index] if self.torch_index else []
        self.pip("install", *index, *self.requirements)

    def finish(self) -> None:
        """Say that the installation came to its end."""
        (self.directory / _COMPLETE).write_text("".join(f"{name}\n" for name in self.requirements))

    def pip(self, *arguments: str) -> None:
        """Run pip in the environment; raises BenchError if it fails."""
        self.call([str(self.python), "-P", "-m", "pip", "--disable-pip-version-check", *arguments])

    def call(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        """Run a step of the installation, its output shown; raises BenchError if it fails."""
        with kept(command, variables=variables, stdout=sys.stderr) as process:
            status = process.wait()
        if status:
            step = " ".join(command)
            raise BenchError(f"The installation in {self.directory} failed: {step} gave {status}.")
