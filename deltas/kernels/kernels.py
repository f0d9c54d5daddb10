"""The kernels on the CPU: the library's operations, called on tensors.

Nothing is checked on the way: whoever calls a kernel has made sure that types and shapes are what
it says, and that rows are contiguous.
"""

from array import array
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from deltas.kernels.backend import Added, Bias, Packed, SmallRankSite
from deltas.kernels.library import Library
from deltas.kernels.memory import Arena

# The most outputs that a kernel takes at a time.
_MOST_LANES = 16
# Above this many multiplications a product is worth giving up the interpreter's lock for.
_LONG = 1 << 24

NOT_FINITE, NONE_ALLOWED = -1, -2
"""What `Kernels.likeliest` finds where there is no likeliest token."""


class Kernels:
    """The kernels for tensors of one type on the CPU.

    A step calls them hundreds of times: what they do in Python is kept short.
    """

    def __init__(self, path: Path, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.variant = path.stem
        self.arena = Arena()
        self._library = Library(path)
        self.operations = self._library.operations(dtype)
        # Short calls keep the interpreter's lock: taking it back would cost more than they do.
        self._short = {name: each.short for name, each in self.operations.items()}
        self._long = {name: each.long for name, each in self.operations.items()}
        self._replay = self._library.replay(dtype)
        self._seconds = array("d", [0.0] * len(self.operations))

    @property
    def seconds(self) -> dict[str, float]:
        """What replayed operations have taken so far, by name."""
        return dict(zip(self.operations, self._seconds, strict=True))

    def use_threads(self, threads: int) -> None:
        """Let the calling thread, and it alone, compute with so many threads, by whatever kernels.

        The others are its helpers: they sleep while there is nothing for them, and end with it.
        """
        self._library.use_threads(threads)

    def pack(self, weight: Tensor, bias: Tensor | None = None) -> Packed:
        """Pack a matrix [outputs, inputs] of any strides."""
        outputs, inputs = weight.shape
        size = self._short["packed_size"](outputs, inputs)
        data = self.arena.take(self.dtype, size).zero_()
        self._long["pack"](weight.data_ptr(), *weight.stride(), outputs, inputs, data.data_ptr())
        return Packed(data, outputs, inputs, None if bias is None else bias.contiguous())

    def pack_bytes(self, weight: Tensor, bias: Tensor | None = None) -> Packed:
        """Pack a matrix rounded to 8 bits, symmetrically for each output."""
        outputs, inputs = weight.shape
        largest = weight.float().abs().amax(dim=1)
        scales = torch.where(largest > 0, largest / 127, 1.0)
        rounded = (weight.float() / scales[:, None]).round().to(torch.int8)
        size = self._short["packed_bytes_size"](outputs, inputs)
        data = self.arena.take(torch.int8, size).zero_()
        self._long["pack_bytes"](
            rounded.data_ptr(), *rounded.stride(), outputs, inputs, data.data_ptr()
        )
        padded = torch.nn.functional.pad(scales, (0, _MOST_LANES - 1))
        return Packed(data, outputs, inputs, None if bias is None else bias.contiguous(), padded)

    def linear(self, x: Tensor, matrix: Packed, added: Added | None = None) -> Tensor:
        """x·Wᵀ + b for x [rows, inputs], and what parts add to it."""
        rows = x.shape[0]
        y = torch.empty(rows, matrix.outputs, dtype=self.dtype)
        long = rows * matrix.outputs * matrix.inputs > _LONG
        functions = self._long if long else self._short
        parts = (None, 0, None, 0)
        if added is not None:
            additions, runs = added
            parts = (additions.data_ptr(), len(additions), runs.data_ptr(), len(runs))
        name, scales = "linear", ()
        if matrix.scales is not None:
            name, scales = "linear_bytes", (matrix.scales.data_ptr(),)
        functions[name](
            x.data_ptr(), x.stride(0), rows, matrix.data.data_ptr(), *scales, _address(matrix.bias),
            matrix.outputs, matrix.inputs, y.data_ptr(), matrix.outputs, *parts,
        )  # fmt: skip
        return y

    def small_rank(self, sites: Sequence[SmallRankSite], runs: Tensor) -> None:
        """Add to each site's y each run's own small-rank product of its x.

        `runs` [n, 3] int32 are (slot, start, end) in order, over the rows of every site.
        """
        described = describe_sites(sites)
        long = sites[0][0].numel() > _LONG >> 8
        (self._long if long else self._short)["small_rank"](
            described.buffer_info()[0], len(sites), runs.data_ptr(), runs.shape[0]
        )

    def replay(self, calls: "array[int]", step: "array[int]") -> None:
        """Make a `Recorder`'s calls for one step, without the interpreter's lock."""
        begin, count = calls.buffer_info()
        end = begin + count * calls.itemsize
        self._replay(begin, end, step.buffer_info()[0], self._seconds.buffer_info()[0])

    def add_norm(
        self,
        x: Tensor,
        y: Tensor | None,
        weight: Tensor,
        epsilon: float,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Add y to x in place, if there is one, and return x normalised.

        That is LayerNorm where there is a bias and RMSNorm where not; `weight` and `bias` are
        float32.
        """
        to = torch.empty_like(x)
        self._short["add_norm"](
            x.data_ptr(), _address(y), 0 if y is None else y.stride(0), weight.data_ptr(),
            _address(bias), epsilon, *x.shape, to.data_ptr(),
        )  # fmt: skip
        return to

    def activate(self, x: Tensor, activation: int) -> Tensor:
        """act(x), written over x [rows, width]."""
        functions = self._long if x.numel() > _LONG >> 8 else self._short
        functions["activate"](x.data_ptr(), *x.shape, activation)
        return x

    def gate(self, x: Tensor, activation: int) -> Tensor:
        """act(x₁)·x₂ for x [rows, 2 x width] = (x₁, x₂)."""
        rows, width = x.shape[0], x.shape[1] // 2
        to = torch.empty(rows, width, dtype=self.dtype)
        self._short["gate"](x.data_ptr(), rows, width, activation, to.data_ptr())
        return to

    def likeliest(self, logits: Tensor, allowed: Sequence[Tensor | None]) -> list[int]:
        """Where each row of logits [rows, vocabulary] is greatest of what it is allowed.

        `allowed` has a bit for each token, in int32 [vocabulary / 32], or is None for all.
        NOT_FINITE if one of the row's is not, allowed or not; NONE_ALLOWED if none is to be found.
        """
        bits = array("q", [0 if row is None else row.data_ptr() for row in allowed])
        to = array("q", bits)
        pointers = bits.buffer_info()[0], to.buffer_info()[0]
        self._long["likeliest"](logits.data_ptr(), *logits.shape, *pointers)
        return to.tolist()

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """Add y to x [rows, width] in place."""
        y = y.contiguous()
        self._short["add"](x.data_ptr(), y.data_ptr(), *x.shape)
        return x

    def ungroup(self, fused: Tensor, heads: tuple[int, int, int]) -> Tensor:
        """Put queries, then keys, then values together.

        `fused` [rows, (queries + 2 x keys) x width] holds for each head of keys its queries, its
        key and its value.
        """
        to = torch.empty_like(fused)
        self._short["ungroup"](fused.data_ptr(), fused.shape[0], *heads, to.data_ptr())
        return to

    def cache_sizes(self, width: int) -> tuple[int, int]:
        """How many numbers one block of one head takes, keys and values."""
        return self._short["key_size"](width), self._short["value_size"](width)

    def place(
        self,
        fused: Tensor,
        heads: tuple[int, int, int],
        norms: tuple[Tensor | None, Tensor | None],
        epsilon: float,
        angles: tuple[Tensor, Tensor] | None,
        places: Tensor,
        cache: tuple[Tensor, Tensor],
        *,
        neighbours: bool = False,
    ) -> None:
        """Norm and rotate queries and keys within `fused`, and store keys and values.

        `fused` [rows, (queries + 2 x keys) x width] for `heads` (queries, keys, width); `angles`
        are cosines and sines [rows, ≤ width] in float32, of as many of a head's first numbers; the
        pairs that are rotated are halves of these, or `neighbours`. `places` [rows] int32 are the
        cached tokens'.
        """
        cosine, sine = angles or (None, None)
        turned = 0 if cosine is None else cosine.shape[1]
        self._short["place"](
            fused.data_ptr(), fused.stride(0), fused.shape[0], *heads, _address(norms[0]),
            _address(norms[1]), epsilon, _address(cosine), _address(sine), turned, neighbours,
            places.data_ptr(), cache[0].data_ptr(), cache[1].data_ptr(),
        )  # fmt: skip

    def attend(
        self,
        query: Tensor,
        heads: tuple[int, int, int],
        cache: tuple[Tensor, Tensor],
        chunks: Tensor,
        tables: Tensor,
        scale: float,
        causal: bool,
        window: int | None,
        cap: float | None = None,
        sinks: Tensor | None = None,
        bias: Bias | None = None,
        *,
        of_sources: bool = False,
    ) -> Tensor:
        """Attend queries [rows, ≥ queries x width] to the cache; returns [rows, queries x width].

        `chunks` [n, 4] int32 are (first row, rows, cached tokens before them, where the sequence's
        blocks begin in `tables` [m] int32). `sinks` [queries] are float32; a bias' table has 16
        numbers more than there are places. `of_sources` says which of a step's chunks they are.
        """
        to = torch.empty(query.shape[0], heads[0] * heads[2], dtype=self.dtype)
        self._long["attend_sources" if of_sources else "attend"](
            query.data_ptr(), query.stride(0), *heads, cache[0].data_ptr(), cache[1].data_ptr(),
            chunks.data_ptr(), chunks.shape[0], tables.data_ptr(), scale, causal, window or 0,
            cap or 0.0, _address(sinks), *_bias(bias), to.data_ptr(), to.stride(0),
        )  # fmt: skip
        return to


def describe_sites(sites: Sequence[SmallRankSite]) -> "array[int]":
    """Sites as `small_rank` reads them, for as long as their tensors are kept."""
    described = array("q")
    for x, y, parts in sites:
        described.extend((x.data_ptr(), x.stride(0), x.shape[1]))
        described.extend((y.data_ptr(), y.stride(0), y.shape[1]))
        described.extend((parts.data_ptr(), parts.shape[0]))
    return described


def _bias(bias: Bias | None) -> tuple[int | None, int, int]:
    """A bias as `attend` reads it: where, how far from head to head, the centre or -1."""
    if bias is None:
        return None, 0, -1
    centre = -1 if bias.centre is None else bias.centre
    return bias.table.data_ptr(), bias.table.stride(0), centre


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
