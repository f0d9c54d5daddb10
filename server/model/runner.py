"""The runner: one forward pass of the frozen base over a packed batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from deltas.delta import Delta, TaskType
from deltas.kernels import Kernels, load_base_kernels
from deltas.kernels.recording import Misfit
from deltas.kinds.head import BARE_ENCODER
from deltas.logits import Logits
from deltas.segments import BASE_SLOT, Segment, Segments
from deltas.site import Role, Rows
from deltas.wiring import Wiring
from server.errors import InvalidSettings
from server.model import attention
from server.model.attention import Attention
from server.model.base import Base
from server.model.batch import Batch, Item, pack, types_of
from server.model.cache import KeyValueCache
from server.model.cross_attention import (
    CrossAttention,
    NativeCrossAttention,
    PlainCrossAttention,
)
from server.model.definition import Definition
from server.model.encoder_decoder import DecoderModules, SourceReader
from server.model.experts import PackedExperts
from server.model.judge import Judged, judge
from server.model.layers import Means, activation_of
from server.model.native_attention import NativeAttention
from server.model.packed import PackedLinears
from server.model.plain_attention import PlainAttention
from server.model.post_norm import PostNormEncoder
from server.model.pre_norm import PreNormLayers
from server.model.projection import Projection
from server.model.replay import ReplayedLayers
from server.model.sublayers import SublayerStack

_JUDGED_AT_ONCE = 32
"""Rows whose logits are there at the same time."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A step's results.

    `logits` [n, vocabulary] hold, in order, a row for each item that wanted them, at the base's
    precision or in float32; `hidden` holds [rows, hidden] for each item that wanted those, and
    `judged` what was asked of tokens that are there already, by the item's index.
    """

    logits: Tensor
    hidden: dict[int, Tensor]
    judged: dict[int, list[Judged]]


class Runner:
    """Runs steps; used by one thread at a time."""

    def __init__(self, base: Base, cache_blocks: int) -> None:
        self.base = base
        self.wiring = Wiring(base.model, base.spec)
        self.kernels = load_base_kernels(base.dtype, base.device.type)
        self._backbone: nn.Module = base.model.base_model
        self._logits_of = Logits.of(base.model)
        self.attention = self._attention(Rows.OWN, cache_blocks if base.generates else 0)
        attentions: dict[Rows, Attention] = {Rows.OWN: self.attention}
        self._looking: tuple[Attention, ...] = (self.attention,)
        self._sources: SourceReader | None = None
        self._decoder: DecoderModules | None = None
        if (encoder := base.spec.family.encoder) is not None:
            attentions[Rows.SOURCE] = self._attention(Rows.SOURCE, 0)
            attentions[Rows.CROSS] = cross = self._cross_attention()
            self._looking += (cross,)
            self._sources = SourceReader(base, encoder, self.wiring, attentions[Rows.SOURCE], cross)
            self._decoder = DecoderModules(base, encoder, base.spec.layers)
        attention.attach(attentions, base.model, base.spec)
        if not base.generates:
            head = base.spec.embedding
            bare = BARE_ENCODER if head is None else Delta(TaskType.EMBED, (head,))
            self.wiring.install(BASE_SLOT, bare)
        self._hidden: Callable[[Batch], Tensor] = self._run_modules
        self.projections: tuple[Projection, ...] = ()
        """The base's packed weights, whose modules have theirs no longer."""
        self._try_out(cache_blocks)
        if base.quantize and not self.projections:
            raise InvalidSettings(
                f"The base '{base.name}' cannot be served in 8 bits here: that needs the native "
                "kernels, in float32 or bfloat16 on the processor, and a base that they compute "
                "rightly; leave out --quantize."
            )

    @torch.inference_mode()
    def forward(self, items: Sequence[Item]) -> Forward:
        """Compute one step.

        Items of one slot should be neighbours: each kind then acts on them at once. Running the
        same items again gives the same result, since a row's place in the cache is its own.
        """
        batch = self._begin(items)
        hidden = self._hidden(batch)
        chosen = batch.segments.items
        wanted = {
            index: hidden[rows.start : rows.end]
            for index, rows in enumerate(chosen)
            if items[index].wants_hidden
        }
        judged = {
            index: self._judged(items[index], hidden[rows.start : rows.end])
            for index, rows in enumerate(chosen)
            if items[index].judged
        }
        return Forward(self._logits(items, chosen, hidden), wanted, judged)

    @torch.inference_mode()
    def scores(self, slot: int, hidden: Tensor) -> Tensor | None:
        """A slot's answer to one sequence's last hidden states, in float32."""
        scores = self.wiring.scores(slot, hidden)
        return None if scores is None else scores.float()

    def copy(self, blocks: Sequence[tuple[int, int]]) -> None:
        """Have the second of each pair of cache blocks hold what the first one does."""
        if blocks and self.attention.cache is not None:
            self.attention.cache.copy(blocks)

    def _attention(self, rows: Rows, blocks: int) -> NativeAttention | PlainAttention:
        base = self.base
        sites = attention.attention_sites(base.spec, rows)
        if self.kernels is not None and sites and sites[0].outputs % 2 == 0:
            queries: int = base.model.config.num_attention_heads
            if base.reads_sources:
                # Its stacks may differ in that, and each query has a key of its own.
                queries = sites[0].heads
            return NativeAttention(self.wiring, sites, self.kernels, blocks, queries)
        cache = KeyValueCache(sites, blocks, base.dtype, base.device) if blocks else None
        return PlainAttention(self.wiring, [site.name for site in sites], cache)

    def _cross_attention(self) -> CrossAttention:
        layers = [site.name for site in attention.attention_sites(self.base.spec, Rows.CROSS)]
        if isinstance(self.attention, NativeAttention) and self.kernels is not None:
            return NativeCrossAttention(self.wiring, layers, self.attention, self.kernels)
        if isinstance(self.attention, PlainAttention):
            return PlainCrossAttention(self.wiring, layers, self.attention)
        raise RuntimeError("Native attention has kernels.")

    def _begin(self, items: Sequence[Item]) -> Batch:
        if self._sources is not None:
            self._sources.read(items)
        batch = pack(items, self.base.spec.family.first_position, self.base.device)
        self.wiring.bind(batch.segments)
        for each in self._looking:
            each.begin(batch)
        return batch

    def _run_modules(self, batch: Batch) -> Tensor:
        if self._decoder is not None:
            return self._decoder(batch)
        if self.base.spec.family.attention is None:
            return torch.cat([self._run_alone(batch, rows) for rows in batch.segments.items])
        extra = {"use_cache": False} if self.base.generates else types_of(batch)
        output = self._backbone(
            input_ids=batch.tokens[None], position_ids=batch.positions[None], **extra
        )
        return output.last_hidden_state[0]

    def _run_alone(self, batch: Batch, rows: Segment) -> Tensor:
        """The states of one sequence, whose modules' attention knows no other."""
        own = slice(rows.start, rows.end)
        alone = Segments.of([Segment(rows.slot, 0, rows.end - rows.start)])
        self.wiring.bind(alone, one_slot=True)
        extra = {name: types[:, own] for name, types in types_of(batch).items()}
        output = self._backbone(
            input_ids=batch.tokens[None, own], position_ids=batch.positions[None, own], **extra
        )
        self.wiring.bind(batch.segments)
        return output.last_hidden_state[0]

    def _logits(self, items: Sequence[Item], segments: Sequence[Segment], hidden: Tensor) -> Tensor:
        wanting = [rows for item, rows in zip(items, segments, strict=True) if item.wants_logits]
        if not wanting:
            return hidden.new_empty(0, self.base.spec.vocabulary)
        rows = torch.tensor([segment.end - 1 for segment in wanting], device=hidden.device)
        # The LM head may be a site too, and sees the chosen rows alone.
        self.wiring.bind(
            Segments.of(Segment(rows.slot, at, at + 1) for at, rows in enumerate(wanting))
        )
        return self._say(hidden[rows])

    def _judged(self, item: Item, hidden: Tensor) -> list[Judged]:
        """Judge an item's tokens, a few at a time: each row of logits is a vocabulary long."""
        hidden = hidden[item.judging : item.judging + len(item.judged)]
        found: list[Judged] = []
        for start in range(0, len(hidden), _JUDGED_AT_ONCE):
            rows = hidden[start : start + _JUDGED_AT_ONCE]
            self.wiring.bind(Segments.of([Segment(item.slot, 0, len(rows))]))
            tokens = item.judged[start : start + _JUDGED_AT_ONCE]
            found += judge(self._say(rows), tokens, item.alternatives)
        return found

    def _say(self, hidden: Tensor) -> Tensor:
        """What the base makes of hidden states: a decoder logits, an encoder nothing more."""
        if not self.base.generates:
            return hidden
        return self._logits_of(self.base.lm_head(hidden))

    @torch.inference_mode()
    def _try_out(self, cache_blocks: int) -> None:
        """Hold the modules to what Transformers says; let kernels compute as far as they say it."""
        definition = Definition(self.base, self._begin)
        hidden = definition.run(self._run_modules)
        definition.judge_modules(self._say(hidden), self._run_modules, cache_blocks)
        # Products of bfloat16 take two inputs at a time.
        sites = self.base.spec.of_role(Role.LINEAR)
        if self.kernels is not None and all(site.inputs % 2 == 0 for site in sites):
            self._speed_up(self.kernels, definition, hidden)

    def _speed_up(self, kernels: Kernels, definition: Definition, hidden: Tensor) -> None:
        """Let kernels compute the base, as far as they say what its modules say."""
        layers = self._layers(kernels)
        self._run_by(layers)
        try:
            agrees = definition.near(definition.run(self._hidden), hidden)
        except Misfit:
            agrees = False
        if not agrees:
            self._run_by(layers := ())
        packed = [projection for each in layers for projection in each.projections]
        done = {site for projection in packed for site in projection.sites}
        sites = [site.name for site in self.base.spec.of_role(Role.LINEAR)]
        rest = [site for site in sites if site not in done]
        linears = PackedLinears(kernels, self.wiring, rest, quantize=self.base.quantize)
        experts = PackedExperts(kernels, self.base.model, quantize=self.base.quantize)
        agrees = definition.near(definition.run(self._hidden), hidden)
        if agrees and definition.near(self._say(hidden), definition.answers):
            self.projections = (*packed, *linears.projections)
            self._release()
            experts.release()
        else:
            self._run_by(())
            linears.undo()
            experts.undo()

    def _run_by(self, layers: Sequence[ReplayedLayers]) -> None:
        """Compute by these layers, a source's before a sequence's own; without any by modules."""
        *of_sources, own = layers or (self._run_modules,)
        self._hidden = own
        if self._sources is not None:
            self._sources.states = of_sources[0] if of_sources else self._sources.run_modules

    def _layers(self, kernels: Kernels) -> tuple[ReplayedLayers, ...]:
        """Each stack's layers by kernels alone, if the base's are of a sort that they compute."""
        family, activation = self.base.spec.family, activation_of(self.base)
        native = self.attention
        if activation is None or not isinstance(native, NativeAttention):
            return ()
        means = Means(self.base, activation, self.wiring, native, kernels)
        if family.pre_norm is not None:
            return (ReplayedLayers(PreNormLayers(family.pre_norm, means)),)
        if family.post_norm is not None:
            return (ReplayedLayers(PostNormEncoder(family.post_norm, means)),)
        return self._both_stacks(means)

    def _both_stacks(self, means: Means) -> tuple[ReplayedLayers, ...]:
        reader, decoder = self._sources, self._decoder
        if reader is None or decoder is None:
            return ()
        source, own = self.base.spec.family.stacks
        reading, cross = reader.own, reader.cross
        if source.sublayers is None or own.sublayers is None:
            return ()
        if not isinstance(reading, NativeAttention) or not isinstance(cross, NativeCrossAttention):
            return ()
        of_source = replace(means, attention=reading)
        return (
            ReplayedLayers(
                SublayerStack(source, source.sublayers, of_source, reader.positions, None)
            ),
            ReplayedLayers(SublayerStack(own, own.sublayers, means, decoder.positions, cross)),
        )

    def _release(self) -> None:
        """Let go of the weights that are packed: no step asks their modules any more."""
        for projection in self.projections:
            for site in projection.sites:
                module = self.wiring.module(site)
                for name, parameter in module.named_parameters():
                    empty = nn.Parameter(parameter.new_empty(0), requires_grad=False)
                    module.register_parameter(name, empty)
