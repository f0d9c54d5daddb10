"""The kernels on aarch64, by a cross-compiler and an emulator: `make emulated` installs both."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deltas.kernels.build import FOLDER

SOURCE = Path(__file__).with_name("other_machine.cpp")
COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
FLAGS = ["-O3", "-std=c++20", "-pthread", "-static", "-ffp-contract=fast", "-fno-math-errno"]


@pytest.mark.long
@pytest.mark.skipif(
    not (shutil.which(COMPILER) and shutil.which(EMULATOR)), reason="`make emulated` installs both"
)
def test_its_operations_agree_with_plain_loops(tmp_path: Path) -> None:
    program = tmp_path / "other_machine"
    told = '-DPOLYDELTA_SOURCES=""'
    command = [COMPILER, *FLAGS, told, f"-I{FOLDER}", str(SOURCE), "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([EMULATOR, program], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
