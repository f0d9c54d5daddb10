"""Positions: vectors of them, for stacks that count positions by themselves.

Such a stack numbers the rows that it is given from 0. Of a packed batch each row has a position of
its own: its vector comes from a table of what the stack's module says of all of them in order.
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from deltas.families import Encoder


class Positions:
    """The vectors [context, width] of one stack, which its module says while rows are `bound`."""

    def __init__(self, stack: nn.Module, path: str, context: int, **said: Tensor) -> None:
        module = stack.get_submodule(path)
        padding = getattr(stack, "padding_idx", None)
        # No token but one that pads moves the others.
        tokens = torch.full((1, context), 0 if padding else 1, device=_device_of(stack))
        self.table = _said(module, lambda: stack(input_ids=tokens, **said)).view(context, -1)
        self._rows: Tensor | None = None
        module.forward = partial(self._forward, module)

    @contextmanager
    def bound(self, rows: Tensor) -> Generator[None]:
        """Let the rows of the next batch be at these positions [T], meanwhile."""
        self._rows = rows
        try:
            yield
        finally:
            self._rows = None

    def _forward(self, module: nn.Module, *args: Any, **said: Any) -> Tensor:
        if self._rows is None:
            return type(module).forward(module, *args, **said)
        return self.table[self._rows][None]


def positions_of(
    stack: nn.Module, encoder: Encoder, context: int, **said: Tensor
) -> Positions | None:
    """Those of one stack of an encoder-decoder, None where it makes no such vectors."""
    if encoder.positions is None:
        return None
    return Positions(stack, encoder.positions, context, **said)


@contextmanager
def bound(positions: Positions | None, rows: Tensor) -> Generator[None]:
    """Let a stack's rows be at these positions [T], meanwhile, if it makes vectors of them."""
    if positions is None:
        yield
        return
    with positions.bound(rows):
        yield


class _Said(Exception):
    """A module has said what was to be known."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


def _said(module: nn.Module, run: Any) -> Tensor:
    def stop(_module: nn.Module, _inputs: object, output: Tensor) -> NoReturn:
        raise _Said(output)

    hook = module.register_forward_hook(stop)
    try:
        run()
    except _Said as said:
        return said.output.detach()
    finally:
        hook.remove()
    raise RuntimeError("The module was not run.")


def _device_of(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
