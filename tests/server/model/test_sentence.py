"""A base saved by sentence-transformers embeds as its modules say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import linear, normalize

from deltas.errors import UnsupportedBase
from deltas.kinds import Extent
from deltas.segments import BASE_SLOT
from server.model.base import load_base
from server.model.batch import Item
from server.model.runner import Runner
from server.model.sentence import read_embedding, read_prompts
from server.model.source import resolve_base
from tests.bases import save_base

_IDS = [1, 17, 80, 3, 44, 101, 2]
_WIDTH, _NARROW = 32, 8
_DENSE = torch.arange(_NARROW * _WIDTH).view(_NARROW, _WIDTH).sin()

POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "cls": lambda x: x[0],
    "lasttoken": lambda x: x[-1],
    "max": lambda x: x.max(dim=0).values,
    "mean": lambda x: x.mean(dim=0),
    "mean_sqrt_len_tokens": lambda x: x.sum(dim=0) / len(x) ** 0.5,
    "weightedmean": lambda x: (torch.arange(1.0, 8.0) @ x) / 28,
}


def stored(root: Path, pooling: dict[str, Any], *kinds: str, folder: str = "") -> Path:
    """A tiny base with these modules behind it."""
    save_base("bert", root / folder)
    modules = [("Transformer", folder), ("Pooling", "1_Pooling")]
    modules += [(kind, f"{at}_{kind}") for at, kind in enumerate(kinds, 2)]
    listed = [
        {"path": path, "type": f"sentence_transformers.models.{kind}"} for kind, path in modules
    ]
    (root / "modules.json").write_text(json.dumps(listed))
    for kind, path in modules[1:]:
        (root / path).mkdir()
        if kind == "Pooling":
            (root / path / "config.json").write_text(json.dumps(pooling))
        if kind == "Dense":
            said = {"activation_function": "torch.nn.modules.activation.Tanh"}
            (root / path / "config.json").write_text(json.dumps(said))
            save_file({"linear.weight": _DENSE}, root / path / "model.safetensors")
    return root


def embedded(directory: Path) -> tuple[Tensor, Tensor]:
    """What the bare base makes of a text, and its plain hidden states."""
    found = resolve_base(str(directory), directory)
    base = load_base("tiny", found.directory, torch.float32, torch.device("cpu"))
    plain = load_base("tiny", found.directory, torch.float32, torch.device("cpu")).model
    runner = Runner(base, 0)
    item = Item(BASE_SLOT, _IDS, 0, Extent(), (), wants_hidden=True)
    scores = runner.scores(BASE_SLOT, runner.forward([item]).hidden[0])
    assert scores is not None
    with torch.no_grad():
        return scores, plain(torch.tensor([_IDS])).last_hidden_state[0]


@pytest.mark.parametrize("mode", POOLINGS)
def test_how_states_are_pooled(mode: str, tmp_path: Path) -> None:
    found, states = embedded(stored(tmp_path, {"pooling_mode": mode}, "Normalize"))
    expected = normalize(POOLINGS[mode](states), dim=-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_dense_layers_and_a_transformer_in_a_folder_of_its_own(tmp_path: Path) -> None:
    older = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    found, states = embedded(stored(tmp_path, older, "Dense", folder="0_Transformer"))
    torch.testing.assert_close(found, linear(states[0], _DENSE).tanh(), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "kinds", "reason"),
    [
        ({"pooling_mode": ["cls", "max"]}, (), "pools by cls and max"),
        ({"pooling_mode": "mean", "include_prompt": False}, (), "prompts out"),
        ({}, ("Normalize", "Dense"), "in this order"),
        ({}, ("LSTM",), "LSTM"),
    ],
)
def test_what_is_not_computed_is_refused(
    pooling: dict[str, Any], kinds: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedBase, match=reason):
        embedded(stored(tmp_path, pooling, *kinds))


@pytest.mark.parametrize(
    ("file", "damaged"),
    [
        *(("modules.json", each) for each in ("{", "[]", "[{}]", '{"type": "x"}')),
        ("1_Pooling/config.json", "["),
        ("1_Pooling/config.json", "[]"),
        ("config_sentence_transformers.json", '{"prompts": {"query": 1}}'),
    ],
)
def test_a_damaged_file_is_named(file: str, damaged: str, tmp_path: Path) -> None:
    base = stored(tmp_path, {"pooling_mode": "mean"})
    (base / file).write_text(damaged)
    read = read_prompts if file.startswith("config") else read_embedding
    with pytest.raises(UnsupportedBase, match=file.rpartition("/")[2]):
        read(base)


def test_a_list_above_of_something_else_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text('{"entry": "main.js"}')
    assert read_embedding(save_base("bert", tmp_path / "base")) is None
