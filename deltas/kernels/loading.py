"""Which kernels there are for a type, a device and this very processor."""

import ctypes
import logging
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch

from deltas.kernels.backend import SmallRankKernels
from deltas.kernels.build import BUILT, FOLDER, sources, variants
from deltas.kernels.kernels import Kernels
from deltas.kernels.library import DTYPES, Library

SWITCH = "POLYDELTA_KERNELS"
"""Set to "off", the library is not used."""
ABSENT = (
    f"There are no native kernels in {BUILT}, so plain PyTorch runs, several times slower. Where "
    f"there is a C++ compiler, build them: python {FOLDER / 'build.py'}"
)

_log = logging.getLogger(__name__)


@cache
def load_kernels(dtype: torch.dtype, device: str = "cpu") -> SmallRankKernels | None:
    """The kernels for a type, of the widest instruction set here; None where there are none.

    Those that were built from other sources are none. On CUDA they are Triton's, for small-rank
    banks alone.
    """
    if os.environ.get(SWITCH) == "off":
        return None
    if device == "cuda" and torch.cuda.is_available() and find_spec("triton") is not None:
        from deltas.kernels.triton_kernels import load_triton

        return load_triton(dtype)
    if dtype not in DTYPES or device != "cpu":
        return None
    path = _built()
    if path is None:
        warn(ABSENT)
        return None
    if (stale := staleness()) is not None:
        warn(stale)
        return None
    return Kernels(path, dtype)


@cache
def warn(text: str) -> None:
    """Log once what holds for all types and devices."""
    _log.warning(text)


@cache
def staleness() -> str | None:
    """What is wrong with a library that was built from other sources than those that are here.

    None if there is none such.
    """
    path = _built()
    if path is None or Library(path).sources == sources():
        return None
    return (
        f"The native kernels in {BUILT} were built from other sources than are here now, so plain "
        f"PyTorch runs, several times slower. Build them again: python {FOLDER / 'build.py'}"
    )


def _built() -> Path | None:
    """The library for the widest instruction set here."""
    return next((path for name in usable() if (path := BUILT / f"{name}.so").is_file()), None)


def load_base_kernels(dtype: torch.dtype, device: str = "cpu") -> Kernels | None:
    """The kernels that compute a base itself: it has some on the CPU alone."""
    kernels = load_kernels(dtype, device)
    return kernels if isinstance(kernels, Kernels) else None


def usable() -> list[str]:
    """The variants that this processor can run, the widest first."""
    found = torch.cpu.get_capabilities()
    bfloat16 = ("avx512_bf16", "avx512_vnni", "avx512_bw", "avx512_vl", "avx512_dq")
    needs = {
        "amx": ("amx_tile", "amx_bf16", "amx_int8", *bfloat16),
        "avx512_bf16": bfloat16,
        "avx512_vnni": ("avx512_vnni", "avx512_bw", "avx512_vl", "avx512_dq"),
        "avx512": ("avx512_f", "avx512_bw", "avx512_vl", "avx512_dq"),
        "avx2": ("avx2", "fma3"),
        "baseline": (),
    }
    names = [name for name in variants() if all(found.get(flag) for flag in needs[name])]
    return [name for name in names if name != "amx" or may_use_tiles()]


@cache
def may_use_tiles() -> bool:
    """Whether Linux lends the process the matrix unit's registers, for which it must ask."""
    arch_prctl, request, tile_data = 158, 0x1023, 18
    return ctypes.CDLL(None).syscall(arch_prctl, request, tile_data) == 0
