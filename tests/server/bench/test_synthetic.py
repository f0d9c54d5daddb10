from pathlib import Path

import pytest

from deltas.formats import load
from server.bench.mix import Form, Mix
from server.bench.synthetic import projections, write_deltas
from server.build import open_base
from server.registry.staging import digest_of
from server.settings import Settings


@pytest.mark.parametrize("every", [False, True])
def test_deltas_have_the_form_asked_for_and_differ(decoder: Path, every: bool) -> None:
    base = open_base(Settings(base=str(decoder), device="cpu", dtype="float32")).spec
    digests: set[str] = set()
    for name, directory in write_deltas(base, Mix.of("lora,base", Form(every, 3)), 4):
        assert name == f"bench-{len(digests):03}-lora"
        delta = load(directory, base)
        assert len(delta.parts) == base.layers * len(projections(base, every=every))
        assert all(part.tensors["a"].shape[0] == 3 for part in delta.parts)
        digests.add(digest_of(directory))
    assert len(digests) == 4
