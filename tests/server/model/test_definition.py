"""What a base does that is not computed here is seen at start, whoever computes it."""

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    GraniteConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from deltas.base import describe
from deltas.errors import UnsupportedBase
from deltas.families import FAMILIES
from deltas.kernels import load_kernels
from deltas.kernels.loading import SWITCH
from deltas.view import View
from server.model.base import Base
from server.model.pre_norm import PreNormLayers
from server.model.runner import Runner
from tests.kernels import needs_kernels
from tests.models import seeded, tiny_config, tiny_model
from tests.server.engine.engines import tiny_tokenizer

_BLOCKS = 8
_SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


@pytest.fixture(params=["native", "plain"], autouse=True)
def _kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    monkeypatch.setenv(SWITCH, "off" if request.param == "plain" else "on")
    load_kernels.cache_clear()
    yield
    load_kernels.cache_clear()


def serve(model: PreTrainedModel) -> Runner:
    return Runner(Base(describe(model, "tiny"), model, tiny_tokenizer()), _BLOCKS)


def made(config: PreTrainedConfig) -> PreTrainedModel:
    return seeded(AutoModelForCausalLM.from_config(config), seed=0)


def granite(**changes: Any) -> PreTrainedModel:
    sizes = {name: value for name, value in _SIZES.items() if name != "head_dim"}
    return made(GraniteConfig(**sizes, **changes))


@pytest.fixture
def _records(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that is another's."""
    monkeypatch.setitem(FAMILIES, "granite", replace(FAMILIES["llama"], name="granite"))


@pytest.mark.usefixtures("_records")
def test_scales_within_the_modules_are_theirs_to_apply() -> None:
    runner = serve(granite(embedding_multiplier=3.0, residual_multiplier=0.5))
    assert all(len(projection.sites) == 1 for projection in runner.projections)


def test_a_context_ends_where_it_would_change_how_others_are_rotated() -> None:
    rope = {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
        "original_max_position_embeddings": 64,
    }
    assert serve(tiny_model("llama", rope_parameters=rope)).base.spec.context == 64


def test_an_encoder_that_looks_back_alone_is_refused() -> None:
    with pytest.raises(UnsupportedBase, match="direction"):
        serve(tiny_model("bert", is_decoder=True))


def test_a_decoder_that_looks_ahead_is_refused() -> None:
    with pytest.raises(UnsupportedBase, match="direction"):
        serve(made(_bidirectional()))


def _bidirectional() -> PreTrainedConfig:
    return type(tiny_config("gemma3_text"))(**_SIZES, use_bidirectional_attention=True)


@pytest.mark.parametrize("family", ["mistral", "gemma3_text"])
@pytest.mark.parametrize("seen", [None, 18])
def test_a_window_that_is_not_kept_is_refused(
    family: str, seen: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Callable[..., View] = View.of

    def other(*call: Any, **said: Any) -> View:
        view = read(*call, **said)
        return replace(view, window=view.window and seen)

    monkeypatch.setattr(View, "of", other)
    with pytest.raises(UnsupportedBase, match="attention within"):
        serve(tiny_model(family, sliding_window=16))


@needs_kernels
def test_layers_that_are_rotated_alike_are_not_taken_for_those_that_differ(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    angles: Callable[..., dict[str, object]] = PreNormLayers.angles

    def alike(self: PreNormLayers, batch: object) -> dict[str, object]:
        found = angles(self, batch)
        return dict.fromkeys(found, next(iter(found[each] for each in sorted(found))))

    monkeypatch.setattr(PreNormLayers, "angles", alike)
    runner = serve(tiny_model("gemma3_text"))
    assert all(len(projection.sites) == 1 for projection in runner.projections)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("position_bias", torch.ones(1, 4, 3, 3)),
        ("attention_mask", torch.ones(1, 1, 3, 3, dtype=torch.bool)),
        ("dropout", 0.1),
        ("something_new", 1),
        ("sinks", torch.zeros(4)),
    ],
)
def test_what_a_call_says_is_known_or_refused(name: str, value: object) -> None:
    rows = torch.zeros(1, 4, 3, 8)
    with pytest.raises(UnsupportedBase, match=name):
        View.of(nn.Identity(), rows, rows, rows, **({"attention_mask": None} | {name: value}))


def test_what_changes_nothing_passes() -> None:
    rows = torch.zeros(1, 4, 3, 8)
    said: dict[str, Any] = {"softcap": None, "output_attentions": False, "dropout": 0.0}
    positions: Tensor = torch.arange(3)[None]
    view = View.of(nn.Identity(), rows, rows, rows, None, position_ids=positions, **said)
    assert view == View(8**-0.5, causal=True, window=None)
    with pytest.raises(UnsupportedBase, match="another shape"):
        View.of(nn.Identity(), rows, rows, rows[..., :4], None)
