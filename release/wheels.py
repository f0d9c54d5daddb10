"""Builds a release's packages: `python -m release.wheels [FOLDER]`, into dist/ if none is named.

The server's wheels are built from its source distribution, so that one holds all that they need:
with kernels for two machines, of which the other one's are cross-compiled, and without any.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from release.sbom import sbom
from release.tree import CLIENT, ROOT, epoch

COMPILERS = ("x86_64-linux-gnu-g++", "aarch64-linux-gnu-g++")
"""The C++ compilers for the machines that get kernels, as Debian calls them on any."""


def build_all(folder: Path, compilers: Sequence[str] = COMPILERS) -> list[Path]:
    """Build both projects' source distributions and wheels into an empty folder.

    Raises SystemExit where a compiler is missing or leaves out an instruction set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for compiler in compilers:
        if shutil.which(compiler) is None:
            raise SystemExit(
                f"{compiler} is missing: apt-get install g++-{compiler.removesuffix('-g++')}"
            )
    source = build_source(folder)
    _hatch("wheel", CLIENT, folder)
    _hatch("sdist", CLIENT, folder)
    with TemporaryDirectory() as place:
        with tarfile.open(source) as archive:
            archive.extractall(place, filter="data")
        tree = next(Path(place).iterdir())
        # hatch_build.py takes it into the wheels.
        (tree / "polydelta.cdx.json").write_text(sbom(), encoding="utf-8")
        build_pure(folder, tree)
        for compiler in compilers:
            _tag(_hatch("wheel", tree, Path(place), CXX=compiler, POLYDELTA_KERNELS="all"), folder)
    return sorted(folder.iterdir())


def build_source(folder: Path) -> Path:
    """Build the server's source distribution."""
    return _hatch("sdist", ROOT, folder)


def build_pure(folder: Path, tree: Path = ROOT) -> Path:
    """Build the wheel without kernels from a tree."""
    return _hatch("wheel", tree, folder, POLYDELTA_KERNELS="off")


def _hatch(kind: str, project: Path, folder: Path, **variables: str) -> Path:
    """Build one package; the file that it is in."""
    command = [sys.executable, "-P", "-m", "hatchling", "build", "--target", kind, "--directory"]
    environment = os.environ | {"SOURCE_DATE_EPOCH": epoch()} | variables
    with TemporaryDirectory() as place:
        done = subprocess.run([*command, place], cwd=project, env=environment, check=False)
        if done.returncode:
            raise SystemExit(f"The {kind} of {project} could not be built.")
        (built,) = Path(place).iterdir()
        return Path(shutil.move(built, folder / built.name))


def _tag(wheel: Path, folder: Path) -> None:
    """Rename a wheel for the oldest Linux that has what its libraries ask for."""
    command = [sys.executable, "-P", "-m", "auditwheel", "repair", "--wheel-dir", str(folder)]
    environment = os.environ | {
        "SOURCE_DATE_EPOCH": epoch(),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    # The folders of what it writes have the modes that are usual here.
    subprocess.run([*command, str(wheel)], env=environment, umask=0o022, check=True)


if __name__ == "__main__":
    dist = Path(sys.argv[1] if len(sys.argv) > 1 else "dist")
    shutil.rmtree(dist, ignore_errors=True)
    for file in build_all(dist):
        sys.stdout.write(f"{file.stat().st_size / 1e6:8.2f} MB  {file.name}\n")
