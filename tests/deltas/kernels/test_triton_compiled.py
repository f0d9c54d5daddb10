"""The Triton kernels compiled for devices that need not be at hand; nothing runs them here."""

import re
from pathlib import Path

import pytest
import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime import JITFunction

from deltas.kernels import load_kernels
from deltas.kernels.loading import SWITCH
from deltas.kernels.triton_kernels import load_triton
from deltas.kernels.triton_small_rank import expand, shrink

POINTERS = {"inner": "*fp32", "tiles": "*i32", "parts": "*i64"}
CONSTANTS = {"height": 16, "ranks": 32, "depth": 64, "columns": 128, "room": 1024}
TYPES = {"fp32": tl.float32, "bf16": tl.bfloat16, "fp16": tl.float16}


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("kernel", [shrink, expand], ids=lambda kernel: kernel.__name__)
def test_they_compile_for_an_a100(
    kernel: JITFunction, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products of half precision are the matrix units', and matrices are read in wide words."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = {**CONSTANTS, "operands": TYPES[kind]}
    pointers = {**POINTERS, "x": f"*{kind}", "y": f"*{kind}"}
    names = kernel.arg_names
    signature = {
        name: "constexpr" if name in constants else pointers.get(name, "i32") for name in names
    }
    places = {name: (index,) for index, name in enumerate(names)}
    chosen = {places[name]: value for name, value in constants.items() if name in places}
    even = {
        places[name]: [["tt.divisibility", 16]]
        for name in names
        if name not in constants and name not in ("rows", "slots", "shares")
    }
    source = ASTSource(kernel, signature, chosen, even)
    code = triton.compile(source, target=GPUTarget("cuda", 80, 32)).asm["ptx"]
    assert kind == "fp32" or "mma.sync" in code
    wide = re.findall(r"cp\.async\.c\w\.shared\.global.*, 0x10,|ld\.global\.v4", code)
    assert wide


def test_without_a_device_plain_pytorch_runs(caplog: pytest.LogCaptureFixture) -> None:
    assert load_triton(torch.float32, "cpu") is None
    assert "do not run here" in caplog.text


def test_cuda_without_its_driver_has_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    load_kernels.cache_clear()
    assert load_kernels(torch.float32, "cuda") is None
    load_kernels.cache_clear()


def test_cuda_takes_them_unless_they_are_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    found = object()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("deltas.kernels.triton_kernels.load_triton", lambda dtype: found)
    load_kernels.cache_clear()
    assert load_kernels(torch.float16, "cuda") is found
    load_kernels.cache_clear()
    monkeypatch.setenv(SWITCH, "off")
    assert load_kernels(torch.float16, "cuda") is None
    load_kernels.cache_clear()
