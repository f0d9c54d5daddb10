"""One delta on one sequence through the wiring, without the engine."""

import copy
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel

from deltas.base import BaseSpec, describe
from deltas.delta import Delta, TaskType
from deltas.kinds import extent_of
from deltas.segments import BASE_SLOT, Segment, Segments
from deltas.site import Role
from deltas.wiring import Wiring

SLOT = 3


@torch.no_grad()
def run(model: PreTrainedModel, delta: Delta, ids: Tensor) -> Tensor:
    """A delta's answer for one sequence, computed between two sequences of the bare base.

    Logits [rows, vocabulary] for a generating delta, else the head's scores; virtual rows come
    first. Fails if the base's own rows change.
    """
    base = describe(model, "tiny")
    wiring = Wiring(model, base)
    extent = extent_of(delta, base)
    generates = delta.task is TaskType.GENERATE
    rows = torch.cat((torch.zeros(extent.rows, dtype=ids.dtype), ids))
    batch = rows.expand(3, -1)
    positions = torch.arange(len(rows)) + base.family.first_position + extent.shift
    wiring.install(SLOT, delta)
    cache = _cache(wiring, base, model, len(batch)) if extent.cached else None
    plain = _states(model, generates, batch, positions, copy.deepcopy(cache))
    slots = (BASE_SLOT, SLOT, BASE_SLOT)
    wiring.bind(Segments.of(_segments(slots, len(rows))))
    states = _states(model, generates, batch, positions, cache)
    torch.testing.assert_close(states[[0, 2]], plain[[0, 2]], rtol=0, atol=1e-6)
    if generates:
        return states[1]
    scores = wiring.scores(SLOT, states[1])
    assert scores is not None
    return scores


def _segments(slots: Sequence[int], count: int) -> Iterable[Segment]:
    for index, slot in enumerate(slots):
        yield Segment(slot, index * count, (index + 1) * count)


def _states(
    model: PreTrainedModel, generates: bool, batch: Tensor, positions: Tensor, cache: Cache | None
) -> Tensor:
    past = cache.get_seq_length() if cache else 0
    runs = model if generates else model.base_model
    output = runs(
        input_ids=batch,
        position_ids=positions[None],
        attention_mask=torch.ones(len(batch), past + batch.shape[1]),
        **({"past_key_values": cache} if cache else {}),
    )
    return output.logits if generates else output.last_hidden_state


def _cache(wiring: Wiring, base: BaseSpec, model: PreTrainedModel, sequences: int) -> Cache:
    """The slot's prefix before every sequence: the cache is one tensor for the whole batch."""
    cache = DynamicCache(config=model.config)
    for layer, site in enumerate(base.of_role(Role.ATTENTION)):
        pair = wiring.key_values(site.name, SLOT)
        assert pair is not None
        key, value = (state.transpose(0, 1).expand(sequences, -1, -1, -1) for state in pair)
        cache.update(key, value, layer)
    return cache
