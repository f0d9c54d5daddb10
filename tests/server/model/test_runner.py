"""The packed forward pass: however sequences are split and mixed, the same logits."""

from collections.abc import Generator

import pytest
import torch
from torch import Tensor, nn

from deltas.kernels import load_kernels
from deltas.kernels.loading import SWITCH
from deltas.segments import BASE_SLOT
from deltas.site import Role
from tests.models import DECODERS
from tests.server.engine.engines import digest_of
from tests.server.model.mixed import Mixed, close


@pytest.fixture(scope="module", params=["native", "plain"])
def kernels(request: pytest.FixtureRequest) -> Generator[str]:
    """The native kernels, and the plain PyTorch that stands in for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SWITCH, "off" if request.param == "plain" else "on")
        load_kernels.cache_clear()
        yield request.param
    load_kernels.cache_clear()


@pytest.fixture(scope="module", params=DECODERS)
def mixed(
    request: pytest.FixtureRequest, kernels: str, tmp_path_factory: pytest.TempPathFactory
) -> Mixed:
    made = Mixed(request.param, tmp_path_factory.mktemp("deltas"))
    assert made.runner.kernels is None or kernels == "native"
    return made


def test_kernels_compute_every_linear_and_no_weight_is_kept_twice(mixed: Mixed) -> None:
    runner = mixed.runner
    packed = {site for projection in runner.projections for site in projection.sites}
    linears = {site.name for site in runner.base.spec.of_role(Role.LINEAR)}
    assert packed == (set() if runner.kernels is None else linears)
    for site in linears:
        weights = [each.numel() for each in runner.wiring.module(site).parameters()]
        assert any(weights) is (site not in packed)


def test_no_modules_run_where_there_are_kernels(mixed: Mixed) -> None:
    runner = mixed.runner
    path = runner.base.spec.layer_paths[0]
    ran: list[nn.Module] = []
    handle = runner.base.model.base_model.get_submodule(path).register_forward_hook(
        lambda module, *_: ran.append(module)
    )
    mixed.run({BASE_SLOT: (0, 1)})
    handle.remove()
    assert bool(ran) is (runner.kernels is None)


def test_all_together(mixed: Mixed) -> None:
    close(mixed.run({slot: (0, len(rows)) for slot, rows in mixed.rows.items()}), mixed)


def test_each_alone(mixed: Mixed) -> None:
    found: dict[int, Tensor] = {}
    for slot, rows in mixed.rows.items():
        found |= mixed.run({slot: (0, len(rows))})
    close(found, mixed)


def test_prefill_chunks_and_decode_rows_together(mixed: Mixed) -> None:
    even = {slot: rows for slot, rows in mixed.rows.items() if slot % 2 == 0}
    odd = {slot: rows for slot, rows in mixed.rows.items() if slot % 2}
    found = mixed.run(
        dict.fromkeys(even, (0, 4)),
        dict.fromkeys(even, (4, 5)) | dict.fromkeys(odd, (0, 6)),
        {slot: (5, len(rows)) for slot, rows in even.items()} | dict.fromkeys(odd, (6, 7)),
        {slot: (7, len(rows)) for slot, rows in odd.items()},
    )
    close(found, mixed)


def test_a_step_run_again_changes_nothing(mixed: Mixed) -> None:
    whole = {slot: (0, len(rows)) for slot, rows in mixed.rows.items()}
    first, again = mixed.run(whole), mixed.run(whole, whole)
    for slot, logits in first.items():
        torch.testing.assert_close(again[slot], logits, rtol=0, atol=0)


def test_nothing_is_read_that_was_not_written(mixed: Mixed) -> None:
    cache = mixed.runner.attention.cache
    assert cache is not None
    for tensor in (*cache.keys, *cache.values):
        tensor.fill_(float("nan"))
    # Nobody holds the first block, and every sequence has another length.
    rows = {slot: rows for slot, rows in mixed.rows.items() if slot != BASE_SLOT}
    found = mixed.run(
        {slot: (0, len(rows) - 1) for slot, rows in rows.items()},
        {slot: (len(rows) - 1, len(rows)) for slot, rows in rows.items()},
    )
    close(found, mixed, BASE_SLOT)


def test_the_base_is_never_changed(mixed: Mixed) -> None:
    before = digest_of(mixed.runner)
    mixed.run({slot: (0, len(rows)) for slot, rows in mixed.rows.items()})
    assert digest_of(mixed.runner) == before
