"""The kernels' team of threads under the compiler's own detectors of races and of bad memory."""

import subprocess
from pathlib import Path

import pytest

from deltas.kernels.build import FOLDER, find_compiler

SOURCE = Path(__file__).with_name("races.cpp")


def build(program: Path, sanitizer: str, source: str) -> bool:
    """Compile a source from standard input; False where compiler or sanitizer are missing."""
    command = [
        find_compiler() or "c++", "-std=c++20", "-O1", "-g", "-pthread", f"-fsanitize={sanitizer}",
        f"-I{FOLDER}", "-x", "c++", "-", "-o", str(program),
    ]  # fmt: skip
    done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("sanitizer", ["thread", "address,undefined"])
def test_runs_are_sound(sanitizer: str, tmp_path: Path) -> None:
    """Nothing is asserted where not even an empty program can be built so."""
    if not build(tmp_path / "empty", sanitizer, "int main() {}"):
        pytest.xfail(f"the compiler here has no sanitizer for {sanitizer}")
    program = tmp_path / "races"
    assert build(program, sanitizer, SOURCE.read_text())
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
