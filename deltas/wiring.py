"""Wiring: lets resident deltas act inside an unmodified Transformers model.

A module of the base is hooked only while some resident delta acts there, so what no delta uses
costs nothing.
"""

from collections.abc import Generator, Hashable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from deltas.bank import Bank, Work
from deltas.base import HEAD_SITE, BaseSpec
from deltas.delta import Delta, Part
from deltas.hooks import Hooks
from deltas.kernels import load_kernels
from deltas.kernels.backend import Added, SmallRank
from deltas.kernels.memory import lay_out, stretch, to_line
from deltas.kinds import KINDS, kind_named
from deltas.modules import Modules
from deltas.segments import Segment, Segments

_Together: TypeAlias = tuple[type[Bank], list[tuple[int, Bank]]]


@dataclass(frozen=True, slots=True)
class _Sum:
    """What parts add to a fused projection, and the slots whose parts there do something else."""

    additions: Tensor
    others: frozenset[int]


class Wiring:
    """The banks of one model, and how they act on rows.

    Not thread-safe: whoever runs the model binds the segments, runs it, and alone installs and
    removes deltas in between.
    """

    def __init__(self, model: PreTrainedModel, base: BaseSpec) -> None:
        self.base = base
        self.segments = Segments.of(())
        self._modules = Modules(model, base)
        self._one_slot = False
        self._hooks = Hooks(self._modules, self._hooked_before, self._hooked_after)
        weight = next(model.base_model.parameters())
        self._device, self._dtype = weight.device, weight.dtype
        self._banks: dict[tuple[str, str], Bank] = {}
        self._at: dict[str, list[Bank]] = {}
        self._plans: dict[tuple[str, ...], list[_Together]] = {}
        self._sums: dict[tuple[str, ...], _Sum] = {}
        self._recordable: frozenset[int] | None = None
        self._layout: Hashable | None = None
        self._kernels: SmallRank | None = load_kernels(self._dtype, self._device.type)

    def bind(self, segments: Segments, *, one_slot: bool = False) -> None:
        """Say whose rows the next forward pass holds.

        Where all are of one slot, modules may be given other rows, too, such as vectors of
        positions: those are the slot's as well.
        """
        self.segments = segments
        self._one_slot = one_slot

    @contextmanager
    def recording(self, recorder: SmallRank) -> Generator[None]:
        """Let a recorder write down what all recordable slots do, meanwhile."""
        kernels, segments = self._kernels, self.segments
        self._kernels = recorder
        self.segments = Segments.of(Segment(slot, 0, 0) for slot in sorted(self.recordable))
        try:
            yield
        finally:
            self._kernels, self.segments = kernels, segments

    @property
    def recordable(self) -> frozenset[int]:
        """The slots that do nothing between a layer's beginning and end but call kernels."""
        if self._recordable is None:
            slots = {slot for bank in self._banks.values() for slot in bank.parts}
            others = {
                slot
                for bank in self._banks.values()
                for slot in bank.parts
                if not bank.recordable(slot)
            }
            self._recordable = frozenset(slots - others)
        return self._recordable

    @property
    def layout(self) -> Hashable:
        """What a recording depends on: it holds while this is equal."""
        if self._layout is None:
            slots = self.recordable
            self._layout = tuple(
                (key, slots.isdisjoint(bank.parts), bank.layout(slots))
                for key, bank in self._banks.items()
            )
        return self._layout

    def prepare(self, delta: Delta) -> Delta:
        """Do on host memory what `install` would else do, all of it on the CPU; on any thread."""
        if self._device.type != "cpu":
            return delta
        # As the kernels will read them: layer by layer, from one stretch of memory.
        order = {name: place for place, name in enumerate(self.base.sites)}
        sorted_parts = sorted(delta.parts, key=lambda part: order.get(part.site, -1))
        ready = [self._ready(part) for part in sorted_parts]
        memory = stretch(sum(to_line(tensor.nbytes) for part in ready for tensor in part.memory))
        for index, part in enumerate(ready):
            copies, memory = lay_out(part.memory, memory)
            # What is copied is let go of at once, for a delta may be large.
            ready[index] = part.over(copies)
        return replace(delta, parts=tuple(ready))

    def install(self, slot: int, delta: Delta) -> None:
        """Make a delta resident in a slot, at the base's device and precision.

        What the slot held before is dropped. If a copy fails, the slot is left empty.
        """
        self.remove(slot)
        try:
            for part in delta.parts:
                self._bank(part).put(slot, self._moved(part))
            self._forget_plans()
        except BaseException:
            self.remove(slot)
            raise

    def remove(self, slot: int) -> None:
        """Empty a slot and unhook the modules that no delta uses any more."""
        self._forget_plans()
        for key, bank in list(self._banks.items()):
            bank.drop(slot)
            if not bank.parts:
                self._discard(key)

    def act_at(self, sites: tuple[str, ...]) -> bool:
        """Whether resident deltas act at any of these sites, and some row of the batch has one."""
        return bool(self.segments.runs) and bool(self._together(sites))

    def before(self, site: str, x: Tensor) -> Tensor:
        """What the banks at a site make of its input, rows [T, inputs]; x itself if nothing."""
        for bank in self._at.get(site, ()):
            x = bank.before(x, self.segments)
        return x

    def before_all(self, sites: tuple[str, ...], x: Tensor) -> list[Tensor]:
        """The same for sites that read the same rows."""
        return [self.before(site, x) for site in sites]

    def added(self, sites: tuple[str, ...]) -> Added | None:
        """What a kernel adds on its way of what deltas do at sites that read the same rows."""
        found = self._sum(sites)
        return (found.additions, self.segments.table) if len(found.additions) else None

    def act_beyond(self, sites: tuple[str, ...]) -> bool:
        """Whether some row's delta does more at these sites than is added so."""
        return not self.segments.slots.isdisjoint(self._sum(sites).others)

    def after(self, site: str, x: Tensor, y: Tensor) -> Tensor:
        """What the banks at a site make of its output, rows [T, outputs]; may write into y."""
        return self.after_all((site,), (x,), (y,))[0]

    def after_all(
        self,
        sites: tuple[str, ...],
        xs: Sequence[Tensor],
        ys: Sequence[Tensor],
        *,
        beyond: bool = False,
    ) -> list[Tensor]:
        """The same for sites that are computed together, given all their inputs and outputs.

        Of what deltas do there only what is `beyond` what `added` gives, if that was added.
        """
        found = list(ys)
        for kind, banks in self._together(sites):
            if beyond:
                banks = [(at, bank) for at, bank in banks if bank.additions() is None]
            work = [Work(bank, xs[at], found[at]) for at, bank in banks]
            for (at, _), y in zip(
                banks, kind.apply_all(work, self.segments, self._kernels), strict=True
            ):
                found[at] = y
        return found

    def module(self, site: str) -> nn.Module:
        """The module of the base at a site."""
        return self._modules.at(self.base.sites[site])

    def key_values(self, site: str, slot: int) -> tuple[Tensor, Tensor] | None:
        """Keys and values [tokens, heads, width] that a slot places first at an attention site."""
        found = (bank.key_values(slot) for bank in self._at.get(site, ()))
        return next((pair for pair in found if pair is not None), None)

    def scores(self, slot: int, hidden: Tensor) -> Tensor | None:
        """A slot's answer to one sequence's last hidden states [rows, hidden], if it has a head."""
        found = (bank.scores(slot, hidden) for bank in self._at.get(HEAD_SITE, ()))
        return next((scores for scores in found if scores is not None), None)

    def _hooked_before(self, site: str, x: Tensor) -> Tensor:
        with self._fitted(len(x)):
            return self.before(site, x)

    def _hooked_after(self, site: str, x: Tensor, y: Tensor) -> Tensor:
        with self._fitted(len(y)):
            return self.after(site, x, y)

    @contextmanager
    def _fitted(self, rows: int) -> Generator[None]:
        """Let the segments be of so many rows, meanwhile."""
        bound = self.segments
        if self._one_slot and rows != bound.rows:
            self.segments = Segments.of([Segment(bound.items[0].slot, 0, rows)])
        try:
            yield
        finally:
            self.segments = bound

    def _sum(self, sites: tuple[str, ...]) -> _Sum:
        if sites in self._sums:
            return self._sums[sites]
        rows: list[tuple[int, int, int, int]] = []
        others: set[int] = set()
        first = 0
        for name in sites:
            outputs = self.base.sites[name].outputs
            for bank in self._at.get(name, ()):
                table = bank.additions()
                if table is None:
                    others.update(bank.parts)
                else:
                    rows.append((table.data_ptr(), len(table), first, outputs))
            first += outputs
        found = _Sum(torch.tensor(rows, dtype=torch.int64).view(-1, 4), frozenset(others))
        self._sums[sites] = found
        return found

    def _forget_plans(self) -> None:
        self._sums.clear()
        self._recordable = self._layout = None

    def _together(self, sites: tuple[str, ...]) -> list[_Together]:
        """The banks of sites kind by kind, with the places of their sites."""
        known = self._plans.get(sites)
        if known is None:
            known = self._plans[sites] = []
            for kind in KINDS:
                keys = enumerate((kind, site) for site in sites)
                banks = [(at, self._banks[key]) for at, key in keys if key in self._banks]
                if banks:
                    known.append((type(banks[0][1]), banks))
        return known

    def _ready(self, part: Part) -> Part:
        return kind_named(part.kind).bank.ready(self._moved(part), self.base.sites[part.site])

    def _moved(self, part: Part) -> Part:
        """A part on the base's device, at its precision; itself if it is there."""
        tensors = {
            name: tensor.to(self._device, self._dtype) for name, tensor in part.tensors.items()
        }
        moved = any(tensors[name] is not tensor for name, tensor in part.tensors.items())
        return replace(part, tensors=tensors) if moved else part

    def _bank(self, part: Part) -> Bank:
        key = (part.kind, part.site)
        if key not in self._banks:
            place = self._modules.place(self.base.sites[part.site])
            self._banks[key] = kind_named(part.kind).bank(place)
            self._rewire(part.site)
        return self._banks[key]

    def _discard(self, key: tuple[str, str]) -> None:
        del self._banks[key]
        self._rewire(key[1])

    def _rewire(self, name: str) -> None:
        self._plans.clear()
        # In one order whatever was installed first: at one site kinds do not commute.
        keys = ((kind, name) for kind in KINDS)
        self._at[name] = [self._banks[key] for key in keys if key in self._banks]
        site = self.base.sites[name]
        if self._at[name]:
            self._hooks.hook(site)
        else:
            self._hooks.unhook(site)
            del self._at[name]
