"""Builds the library, once for each instruction set: `python deltas/kernels/build.py`.

Needs a C++ compiler and nothing else, so that packaging can run it before anything is installed.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path(__file__).parent
BUILT = FOLDER / "built"

_FLAGS = [
    "-O3",
    "-std=c++20",
    "-pthread",
    "-shared",
    "-fPIC",
    "-ffp-contract=fast",
    "-fno-math-errno",
]
# GCC's own headers of instructions trip its warning of what is not initialised.
_WARNINGS = ["-Wall", "-Wextra", "-Wno-psabi", "-Wno-maybe-uninitialized", "-Wno-uninitialized"]
_BF16 = ["-march=x86-64-v4", "-mavx512vnni", "-mavx512bf16"]
_X86 = {
    "amx": [*_BF16, "-mamx-tile", "-mamx-bf16", "-mamx-int8"],
    "avx512_bf16": _BF16,
    "avx512_vnni": ["-march=x86-64-v4", "-mavx512vnni"],
    "avx512": ["-march=x86-64-v4"],
    "avx2": ["-march=x86-64-v3"],
}
_CROSS = ("x86_64", "aarch64")
"""Machines that another one may compile for."""


def variants(machine: str = platform.machine()) -> dict[str, list[str]]:
    """The compiler's flags for each instruction set of a machine, the widest first."""
    wider = _X86 if machine in ("x86_64", "AMD64") else {}
    return wider | {"baseline": []}


def sources() -> str:
    """A digest of all that the library is built from: the C++ here, and this file."""
    files = sorted([*FOLDER.glob("*.h"), *FOLDER.glob("*.cpp"), FOLDER / "build.py"])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def find_compiler() -> str | None:
    """The C++ compiler: $CXX, or the first of the usual names."""
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return next((path for name in names if name and (path := shutil.which(name))), None)


def target(compiler: str) -> str:
    """The machine that a compiler builds for, as `platform.machine` calls it."""
    asked = subprocess.run([compiler, "-dumpmachine"], check=False, capture_output=True, text=True)
    named = asked.stdout.partition("-")[0]
    return named if named in _CROSS else platform.machine()


def build() -> str | None:
    """Compile every variant that the compiler can; the machine they are for, None without any."""
    compiler = find_compiler()
    if compiler is None:
        return None
    machine = target(compiler)
    BUILT.mkdir(exist_ok=True)
    told = f'-DPOLYDELTA_SOURCES="{sources()}"'
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        jobs = [
            threads.submit(_compile, compiler, name, [told, *flags])
            for name, flags in variants(machine).items()
        ]
    return machine if any(job.result() for job in jobs) else None


def _compile(compiler: str, name: str, flags: list[str]) -> bool:
    # A running server keeps the file that it has mapped: the new one takes its name whole.
    with tempfile.NamedTemporaryFile(dir=BUILT, suffix=".so", delete=False) as partial:
        command = [compiler, *_FLAGS, *_WARNINGS, *flags, str(FOLDER / "kernels.cpp")]
        done = subprocess.run([*command, "-o", partial.name], check=False)
    if done.returncode:
        Path(partial.name).unlink()
        (BUILT / f"{name}.so").unlink(missing_ok=True)
        return False
    Path(partial.name).chmod(0o755)
    Path(partial.name).rename(BUILT / f"{name}.so")
    return True


if __name__ == "__main__":
    raise SystemExit(0 if build() else "No C++ compiler could build the kernels.")
