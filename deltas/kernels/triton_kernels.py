"""The small-rank kernels as Triton compiles them for a device; imported only where Triton is."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
import triton
from torch import Tensor
from torch.nn import functional
from triton.runtime import JITFunction

from deltas.kernels import triton_small_rank
from deltas.kernels.backend import MAX_RANK, Packed, SmallRankSite

DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}

# The fewest rows that a matrix unit takes. All tiles have the same height: a row's sums do not
# depend on who shares its batch.
_ROWS = 16
_RANKS, _DEPTH, _COLUMNS = 32, 64, 128
# A decode step has too few tiles to fill a device: long rows are shared out as well.
_SHARE, _MOST_SHARES = 512, 8
# Rounding strays by a hundredth of the largest value, a wrong product by all of it.
_TRUST = 0.05

_log = logging.getLogger(__name__)


class TritonKernels:
    """What `Kernels` does for small-rank banks, for tensors of one type on one kind of device."""

    variant = "triton"

    def __init__(self, dtype: torch.dtype, device: str = "cuda") -> None:
        self.dtype = dtype
        self.device = device
        kernel: Any = triton_small_rank.shrink
        # Triton's interpreter multiplies the bits of bfloat16 as whole numbers.
        widened = dtype is torch.bfloat16 and not isinstance(kernel, JITFunction)
        self._operands = getattr(triton.language, "float32" if widened else DTYPES[dtype])
        self._last: tuple[Tensor, torch.device, Tensor] | None = None

    def pack(self, weight: Tensor, bias: Tensor | None = None) -> Packed:
        """A matrix [outputs, inputs] as it is, or a copy that can be read in wide words."""
        aligned: int = triton_small_rank.ALIGNED.value
        outputs, inputs = weight.shape
        data = functional.pad(weight, (0, -inputs % aligned)).contiguous()
        data = data.clone() if data.data_ptr() % aligned else data
        return Packed(data, outputs, inputs, None if bias is None else bias.contiguous())

    def small_rank(self, sites: Sequence[SmallRankSite], runs: Tensor) -> None:
        """Add to each site's y each run's own small-rank product of its x.

        `runs` [n, 3] are (slot, start, end), never changed once they were handed over; parts are
        on the device, their ranks at most MAX_RANK.
        """
        for x, y, parts in sites:
            self._small_rank(x, y, runs, parts)

    def _small_rank(self, x: Tensor, y: Tensor, runs: Tensor, parts: Tensor) -> None:
        tiles = self._tiles(runs, y.device)
        rows, inputs, outputs = len(x), x.shape[1], y.shape[1]
        if not len(tiles):
            return
        shares = max(1, min(inputs // _SHARE, _MOST_SHARES))
        inner = torch.empty(shares, rows, MAX_RANK, dtype=torch.float32, device=y.device)
        shrink: Any = triton_small_rank.shrink
        expand: Any = triton_small_rank.expand
        with torch.cuda.device_of(y):
            shrink[(len(tiles), shares)](
                x, x.stride(0), rows, inputs, inner, tiles, parts, len(parts),
                _ROWS, _RANKS, _DEPTH, MAX_RANK, self._operands,
            )  # fmt: skip
            expand[(len(tiles), triton.cdiv(outputs, _COLUMNS))](
                inner, rows, shares, y, y.stride(0), outputs, tiles, parts, len(parts),
                _ROWS, _RANKS, _COLUMNS, MAX_RANK, self._operands,
            )  # fmt: skip

    def _tiles(self, runs: Tensor, device: torch.device) -> Tensor:
        # Every site of a step asks for the same runs: they are cut and copied once.
        last = self._last
        if last is None or last[0] is not runs or last[1] != device:
            tiles = [
                (slot, at, min(at + _ROWS, end))
                for slot, start, end in runs.tolist()
                for at in range(start, end, _ROWS)
            ]
            table = torch.tensor(tiles, dtype=torch.int32).view(-1, 3)
            self._last = last = (runs, device, table.to(device))
        return last[2]


def load_triton(dtype: torch.dtype, device: str = "cuda") -> TritonKernels | None:
    """The kernels if they compile here and say what plain PyTorch says; else None."""
    if dtype not in DTYPES:
        return None
    try:
        kernels = TritonKernels(dtype, device)
        if _is_right(kernels):
            return kernels
        _log.warning("Triton's kernels are wrong on this device; plain PyTorch stands in.")
    except Exception as error:
        # Whatever is missing, be it a C compiler or a newer device: plain PyTorch is not.
        _log.warning("Triton's kernels do not run here; plain PyTorch stands in.", exc_info=error)
    return None


@torch.inference_mode()
def _is_right(kernels: TritonKernels) -> bool:
    generator = torch.Generator().manual_seed(0)
    a, b, x = (
        torch.randn(shape, generator=generator).to(kernels.device, kernels.dtype)
        for shape in ((16, 64), (64, 16), (16, 64))
    )
    y = torch.zeros_like(x)
    packed = kernels.pack(a), kernels.pack(b)
    addresses = [matrix.data.data_ptr() for matrix in packed]
    parts = torch.tensor([[0] * 6, [*addresses, 0, 0, len(a), 0]], device=kernels.device)
    kernels.small_rank([(x, y, parts)], torch.tensor([[1, 0, len(x)]]))
    expected = x.double() @ a.double().T @ b.double().T
    return bool((y - expected).abs().max() < _TRUST * expected.abs().max())
