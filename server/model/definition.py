"""The definition of a base: what Transformers makes of a few tokens with its own attention.

At start all that computes the base is held to it.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

import torch
from torch import Tensor, nn

from deltas.errors import UnsupportedBase
from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from deltas.site import Role, Rows
from server.model.attention import detached, view_of
from server.model.base import Base
from server.model.batch import Batch, Item, SourceItem
from server.model.cache import BLOCK

_TOKENS = 11
"""At most one block's worth."""
_TRUST_BYTES = 0.3
_TRUST = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}
"""How far one may be from the other, as a share of what it says: rounding's reach."""

Begin = Callable[[Sequence[Item]], Batch]
"""Packs a step's items and gets everything ready for it."""
Run = Callable[[Batch], Tensor]
"""Computes a step's last hidden states [T, hidden]."""


class Definition:
    """Taken of a base whose modules are all as they were loaded.

    `answers` are what Transformers makes of the tokens: logits [tokens, vocabulary], or an
    encoder's last hidden states.
    """

    def __init__(self, base: Base, begin: Begin) -> None:
        self._base = base
        self._begin = begin
        self._tokens = self._text(_TOKENS)
        with detached(base.model, base.spec.family):
            self.answers = self._whole(self._tokens)

    def run(self, path: Run) -> Tensor:
        """What a path makes of the tokens [tokens, hidden].

        A row from the context's end is beside them, and must not change how they are rotated.
        """
        last = self._base.spec.context - 1
        far = Extent(shift=last, source_shift=last)
        ours = Item(BASE_SLOT, self._tokens, 0, Extent(), [0], source=self._source(self._tokens, 2))
        first = self._tokens[:1]
        other = Item(BASE_SLOT, first, 0, far, [1], source=self._source(first, 3))
        return path(self._begin([ours, other]))[: len(self._tokens)]

    def near(self, found: Tensor, expected: Tensor) -> bool:
        """Whether kernels say what is expected, but for rounding: that of their weights, too."""
        trust = _TRUST_BYTES if self._base.quantize else _TRUST[self._base.dtype]
        return _stray(found, expected) < trust

    def judge_modules(self, answers: Tensor, run: Run, blocks: int) -> None:
        """Hold the base's modules, with our attention in them, to the definition.

        Raises UnsupportedBase if they say anything else, or would in a cache of so many blocks.
        """
        if not self._equal(answers, self.answers):
            self._refuse("its answers")
        sites = self._base.spec.of_role(Role.ATTENTION)
        modules = [self._base.model.base_model.get_submodule(site.name) for site in sites]
        own = {site.name: site.rows is Rows.OWN and self._base.generates for site in sites}
        if any(
            view_of(module).causal is not causal
            for module, causal in zip(modules, own.values(), strict=True)
        ):
            self._refuse("the direction in which its attention looks")
        if not modules:
            return
        context = self._base.spec.context
        longest = min(context, blocks * BLOCK) if self._base.generates else context
        for window, module in self._windows(modules).items():
            if not self._sees(module, window, longest, run):
                self._refuse(f"attention within {window} tokens")

    def _windows(self, modules: list[nn.Module]) -> dict[int, nn.Module]:
        """The windows that modules or the configuration name, each with a module that has it."""
        found = {view_of(module).window: module for module in reversed(modules)}
        for name in ("sliding_window", "attention_chunk_size"):
            found.setdefault(getattr(self._base.model.config, name, None), modules[-1])
        return {window: module for window, module in found.items() if window is not None}

    def _sees(self, module: nn.Module, window: int, longest: int, run: Run) -> bool:
        """Whether rows of which a window hides much look as the definition's do."""
        length = min(window + window // 8 + BLOCK, longest)
        if length <= window:
            return True
        tokens = self._text(length)
        with detached(self._base.model, self._base.spec.family):
            expected = _output(module, lambda: self._whole(tokens))
        items = [Item(BASE_SLOT, tokens, 0, Extent(), range(-(-length // BLOCK)))]
        found = _output(module, lambda: run(self._begin(items)))
        hidden = (window + length) // 2
        return self._equal(found[hidden:], expected[hidden:])

    def _equal(self, found: Tensor, expected: Tensor) -> bool:
        return _stray(found, expected) < _TRUST[self._base.dtype]

    def _whole(self, tokens: list[int]) -> Tensor:
        """The model's own answers to one sequence, with whatever attention it has."""
        base = self._base
        given = torch.tensor([tokens], device=base.device)
        if base.reads_sources:
            return base.model(input_ids=given, decoder_input_ids=given, use_cache=False).logits[0]
        if base.generates:
            return base.model(input_ids=given, use_cache=False).logits[0]
        return base.model(input_ids=given).last_hidden_state[0]

    def _source(self, tokens: list[int], block: int) -> SourceItem | None:
        """The tokens once more, in a block of their own, where the base reads sources."""
        return SourceItem([block], len(tokens), tokens) if self._base.reads_sources else None

    def _text(self, length: int) -> list[int]:
        """Tokens from all over the vocabulary, in no order; none pads, which may move positions."""
        count = self._base.spec.vocabulary
        stride = int(count * 0.618)
        padding = self._base.model.config.pad_token_id
        tokens = [at * stride % count for at in range(1, length + 1)]
        return [(token + 1) % count if token == padding else token for token in tokens]

    def _refuse(self, what: str) -> NoReturn:
        raise UnsupportedBase(
            f"The base '{self._base.name}' cannot be served: {what} would not be what Transformers "
            "itself computes. Serve a base of another architecture."
        )


def _stray(found: Tensor, expected: Tensor) -> float:
    strays = (found - expected).float().norm(dim=1) / expected.float().norm(dim=1)
    # A single row may amplify rounding a hundredfold; a mistake would show in all of them.
    return strays.median().item()


class _Reached(Exception):
    """A module has said all that was to be known."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


def _output(module: nn.Module, run: Callable[[], object]) -> Tensor:
    """What a module says to one sequence [rows, width], without what would follow."""

    def stop(_module: nn.Module, _inputs: object, output: tuple[Tensor, ...]) -> NoReturn:
        raise _Reached(output[0][0])

    hook = module.register_forward_hook(stop)
    try:
        run()
    except _Reached as reached:
        return reached.output
    finally:
        hook.remove()
    raise RuntimeError("The module was not run.")
