"""The grouped small-rank operation on the device, in two steps: y += act(x·Aᵀ + a)·Bᵀ + b.

The first writes x·Aᵀ and the second reads it, since x may be y itself. Both see the packed rows as
tiles of one slot, whose part they find through the addresses in its table.
"""

import typing

import triton
import triton.language
from triton.language import constexpr

tl: typing.Any = triton.language

_FIELDS = constexpr(6)
_RELU, _GELU, _GELU_TANH, _SILU, _TANH, _LEAKY_RELU = (constexpr(code) for code in range(1, 7))
ALIGNED = constexpr(16)
"""Matrices begin at addresses and have rows of lengths that this divides, for wide reads."""


@triton.jit(do_not_specialize=["rows", "slots"])
def shrink(
    x: typing.Any,
    x_stride: typing.Any,
    rows: typing.Any,
    inputs: typing.Any,
    inner: typing.Any,
    tiles: typing.Any,
    parts: typing.Any,
    slots: typing.Any,
    height: constexpr,
    ranks: constexpr,
    depth: constexpr,
    room: constexpr,
    operands: constexpr,
) -> None:
    """Write one share of a tile's x·Aᵀ to `inner` [shares, rows, room] in float32.

    `tiles` [n, 3] are (slot, start, end), of which at most height rows count.
    """
    tile, share, shares = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    slot = tl.load(tiles + 3 * tile)
    part = parts + slot * _FIELDS
    rank = tl.load(part + 4, mask=slot < slots, other=0)
    if rank == 0:
        return
    a = tl.multiple_of(tl.load(part).to(tl.pointer_type(x.dtype.element_ty)), ALIGNED)
    width = _padded(inputs)
    row = tl.load(tiles + 3 * tile + 1).to(tl.int64) + tl.arange(0, height)
    is_row = row[:, None] < tl.load(tiles + 3 * tile + 2)
    for first in range(0, rank, ranks):
        column = first + tl.arange(0, ranks)
        sums = tl.full([height, ranks], 0.0, tl.float32)
        for begin in range(share * depth, inputs, shares * depth):
            at = begin + tl.arange(0, depth)
            is_at = at[None, :] < inputs
            left = tl.load(
                x + row[:, None] * x_stride + at[None, :], mask=is_row & is_at, other=0.0
            )
            right = tl.load(
                a + column[:, None] * width + at[None, :],
                mask=(column[:, None] < rank) & (at[None, :] < width),
                other=0.0,
            )
            sums = tl.dot(
                left.to(operands), tl.trans(right.to(operands)), sums, input_precision="ieee"
            )
        to = inner + (share * rows + row[:, None]) * room + column[None, :]
        tl.store(to, sums, mask=is_row & (column[None, :] < rank))


@triton.jit(do_not_specialize=["rows", "slots"])
def expand(
    inner: typing.Any,
    rows: typing.Any,
    shares: typing.Any,
    y: typing.Any,
    y_stride: typing.Any,
    outputs: typing.Any,
    tiles: typing.Any,
    parts: typing.Any,
    slots: typing.Any,
    height: constexpr,
    ranks: constexpr,
    columns: constexpr,
    room: constexpr,
    operands: constexpr,
) -> None:
    """Add act(Σ inner + a)·Bᵀ + b to columns columns of a tile of y, summing over the shares."""
    tile, block = tl.program_id(0), tl.program_id(1)
    slot = tl.load(tiles + 3 * tile)
    part = parts + slot * _FIELDS
    rank = tl.load(part + 4, mask=slot < slots, other=0)
    if rank == 0:
        return
    kind = tl.pointer_type(y.dtype.element_ty)
    b = tl.multiple_of(tl.load(part + 1).to(kind), ALIGNED)
    width = _padded(rank)
    a_bias, b_bias = tl.load(part + 2), tl.load(part + 3)
    activation = tl.load(part + 5)
    row = tl.load(tiles + 3 * tile + 1).to(tl.int64) + tl.arange(0, height)
    is_row = row[:, None] < tl.load(tiles + 3 * tile + 2)
    column = block * columns + tl.arange(0, columns)
    is_column = column < outputs
    sums = tl.full([height, columns], 0.0, tl.float32)
    for first in range(0, rank, ranks):
        at = first + tl.arange(0, ranks)
        is_at = at < rank
        bias = tl.load(a_bias.to(kind) + at, mask=is_at & (a_bias != 0), other=0.0)
        left = tl.full([height, ranks], 0.0, tl.float32) + bias.to(tl.float32)[None, :]
        for share in range(shares):
            found = inner + (share * rows + row[:, None]) * room + at[None, :]
            left += tl.load(found, mask=is_row & is_at[None, :], other=0.0)
        left = _activate(left, activation).to(y.dtype.element_ty)
        right = tl.load(
            b + column[:, None].to(tl.int64) * width + at[None, :],
            mask=is_column[:, None] & (at[None, :] < width),
            other=0.0,
        )
        sums = tl.dot(left.to(operands), tl.trans(right.to(operands)), sums, input_precision="ieee")
    bias = tl.load(b_bias.to(kind) + column, mask=is_column & (b_bias != 0), other=0.0)
    to = y + row[:, None] * y_stride + column[None, :]
    is_there = is_row & is_column[None, :]
    sums += bias.to(tl.float32)[None, :] + tl.load(to, mask=is_there, other=0.0).to(tl.float32)
    tl.store(to, sums.to(y.dtype.element_ty), mask=is_there)


@triton.jit
def _padded(length: typing.Any) -> typing.Any:
    return (length + (ALIGNED - 1)) // ALIGNED * ALIGNED


@triton.jit
def _activate(x: typing.Any, activation: typing.Any) -> typing.Any:
    if activation == _RELU:
        x = tl.where(x < 0, 0.0, x)
    elif activation == _GELU:
        x = 0.5 * x * (1.0 + tl.erf(x * 0.70710678))
    elif activation == _GELU_TANH:
        x = 0.5 * x * (1.0 + _tanh(0.79788456 * (x + 0.044715 * x * x * x)))
    elif activation == _SILU:
        decay = tl.exp(-tl.abs(x))
        x = x * tl.where(x < 0, decay, 1.0) / (1.0 + decay)
    elif activation == _TANH:
        x = _tanh(x)
    elif activation == _LEAKY_RELU:
        x = tl.where(x < 0, 0.01 * x, x)
    return x


@triton.jit
def _tanh(x: typing.Any) -> typing.Any:
    decay = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - decay) / (1.0 + decay)
    return tl.where(x < 0, -size, size)
