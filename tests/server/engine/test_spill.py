"""The spill: prepared deltas come back from disk as they were, and act as they did."""

from pathlib import Path

import pytest
import torch

from deltas.delta import Delta, DeltaRef, Part, TaskType
from deltas.kinds import KINDS
from deltas.wiring import Wiring
from server.bench.synthetic import projections, random_delta
from server.engine.spill import Spill
from server.registry.names import shared
from server.registry.registry import Registry
from tests.server.engine.engines import (
    generate,
    serving,
    tiny_base,
    tiny_engine,
    tiny_limits,
    until,
)
from tests.server.engine.references import check_greedy, references

REF = DeltaRef("task", "digest")
PROMPT = tuple(range(9, 16))


def prepared(kind: str, seed: int = 0, rank: int = 3) -> Delta:
    base = tiny_base("llama")
    targets = projections(base.spec, every=True)
    delta = random_delta(base.spec, kind, seed, targets, rank)
    return Wiring(base.model, base.spec).prepare(delta)


def same(found: Delta | None, expected: Delta) -> bool:
    assert found is not None
    pairs = zip(found.parts, expected.parts, strict=True)
    return all(
        mine.form == theirs.form and all(map(torch.equal, mine.memory, theirs.memory))
        for mine, theirs in pairs
    )


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"head"}))
def test_it_gives_back_what_it_got(kind: str, tmp_path: Path) -> None:
    spill, delta = Spill(tmp_path), prepared(kind)
    spill.write(REF, delta)
    found = spill.read(REF)
    assert same(found, delta)
    assert found is not None
    assert (found.task, found.bytes) == (delta.task, delta.bytes)
    assert {type(part) for part in found.parts} == {type(part) for part in delta.parts}


def test_alike_deltas_are_told_apart(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    deltas = {DeltaRef("task", str(seed)): prepared("lora", seed) for seed in range(3)}
    deltas[DeltaRef("task", "wide")] = prepared("lora", rank=5)
    for ref, delta in deltas.items():
        spill.write(ref, delta)
    assert all(same(spill.read(ref), delta) for ref, delta in deltas.items())


def test_tensors_keep_their_names(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    values = torch.ones(4, 2, 16), torch.zeros(4, 2, 16)
    for first, second in (("key", "value"), ("value", "key")):
        tensors = dict(zip((first, second), values, strict=True))
        ref = DeltaRef("task", first)
        spill.write(ref, Delta(TaskType.GENERATE, (Part("prefix", "site", tensors),)))
        found = spill.read(ref)
        assert found is not None
        assert found.parts[0].tensors[first].min() == 1
        assert found.parts[0].tensors[second].max() == 0


def test_ranks_of_one_packed_size_are_told_apart(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    deltas = {DeltaRef("task", str(rank)): prepared("lora", rank=rank) for rank in (3, 4)}
    for ref, delta in deltas.items():
        spill.write(ref, delta)
    assert all(same(spill.read(ref), delta) for ref, delta in deltas.items())


def test_what_is_discarded_is_gone(tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    spill.write(REF, prepared("lora"))
    spill.write(REF, prepared("ia3"))
    assert len(list(tmp_path.iterdir())) == 1
    spill.discard(REF)
    assert spill.read(REF) is None
    assert not list(tmp_path.iterdir())
    spill.discard(REF)


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_file_that_is_lost_is_as_if_never_written(damage: object, tmp_path: Path) -> None:
    spill = Spill(tmp_path)
    spill.write(REF, prepared("lora"))
    assert callable(damage)
    damage(next(tmp_path.iterdir()))
    assert spill.read(REF) is None


def test_a_disk_that_cannot_be_written_is_survived(tmp_path: Path) -> None:
    spill = Spill(tmp_path / "nowhere")
    spill.write(REF, prepared("lora"))
    assert spill.read(REF) is None


class Unread(Registry):
    """A registry from which nothing can be loaded again."""

    def load(self, ref: DeltaRef) -> Delta:
        raise AssertionError(ref)


async def test_where_host_memory_is_full_nothing_is_loaded_twice(tmp_path: Path) -> None:
    directories, answers = references("llama", tmp_path / "deltas")
    limits = tiny_limits(host_cache_bytes=0, max_deltas=1)
    engine = tiny_engine(tiny_base("llama"), {}, tmp_path / "store", limits, registry=Unread)
    for name, directory in directories.items():
        engine.registry.put(shared(name), directory)
    scratch = engine.registry.scratch
    async with serving(engine):
        for turn in range(2):
            for name in directories:
                found = await generate(engine, f"{turn} {name}", name, PROMPT, 5)
                check_greedy(answers[name], PROMPT, found, 5)
        assert len(list(scratch.iterdir())) == len(directories)
        for name in directories:
            engine.registry.remove(shared(name))
        await until(lambda: not list(scratch.iterdir()))
