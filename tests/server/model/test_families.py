"""The families that no other test tries: every kind, alone and mixed, as the reference has it."""

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftConfig, PeftModel
from torch import Tensor
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, AutoModelForCausalLM

from deltas.base import describe
from deltas.delta import Delta
from deltas.families import FAMILIES
from deltas.formats import load
from deltas.kinds import Extent, extent_of
from server.model.base import Base
from server.model.batch import Item
from server.model.runner import Runner
from tests.deltas.formats.peft_checkpoints import quietly, reference, save, targets_of
from tests.families import CONFIGS
from tests.models import seeded, tiny_config
from tests.server.engine.engines import tiny_base, tiny_tokenizer
from tests.server.engine.references import PEFT, TOLERANCE
from tests.server.model.mixed import BLOCKS_EACH, Mixed, close

DECODERS = [family for family in CONFIGS if FAMILIES[family].causal]
ENCODERS = [family for family in CONFIGS if not FAMILIES[family].causal]
KINDS = ("lora", "ia3", "prompt", "prefix")
UNABLE = {
    "prefix": (
        "albert",
        "deberta",
        "deberta-v2",
        "eurobert",
        "gte",
        "modernbert",
        "mpnet",
        "nomic_bert",
    ),
    "prompt": ("albert", "electra"),
}
"""Where PEFT fails: models that take no keys from outside, vectors narrower than the layers."""


def has_classifier(family: str) -> bool:
    """Whether Transformers has a class for the family's classifiers of texts."""
    return type(tiny_config(family)) in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING


@pytest.fixture(scope="module", params=DECODERS)
def mixed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mixed:
    return Mixed(request.param, tmp_path_factory.mktemp("deltas"), KINDS)


def test_a_decoders_kinds_in_one_step_and_alone(mixed: Mixed) -> None:
    together = mixed.run({slot: (0, len(rows)) for slot, rows in mixed.rows.items()})
    close(together, mixed)
    for slot, rows in mixed.rows.items():
        alone = mixed.run({slot: (0, len(rows))})[slot]
        if mixed.runner.kernels is not None:
            assert torch.equal(alone, together[slot])
        torch.testing.assert_close(alone, together[slot], rtol=0, atol=TOLERANCE)


def test_a_decoders_chunks_and_single_rows(mixed: Mixed) -> None:
    found = mixed.run(
        dict.fromkeys(mixed.rows, (0, 5)),
        {slot: (5, len(rows) - 1) for slot, rows in mixed.rows.items()},
        {slot: (len(rows) - 1, len(rows)) for slot, rows in mixed.rows.items()},
    )
    close(found, mixed)


@pytest.mark.parametrize("family", [*filter(has_classifier, DECODERS)])
def test_a_decoders_head(family: str, tmp_path: Path) -> None:
    config = LoraConfig(task_type="SEQ_CLS", r=4, target_modules=targets_of(family))
    model = save(family, config, tmp_path)
    runner = Runner(tiny_base(family), BLOCKS_EACH)
    runner.wiring.install(1, load(tmp_path, runner.base.spec))
    ids = torch.arange(5, 25)
    item = Item(1, ids.tolist(), 0, Extent(), range(BLOCKS_EACH), wants_hidden=True)
    scores = runner.scores(1, runner.forward([item]).hidden[0])
    torch.testing.assert_close(scores, reference(model, ids), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("bloom", {"hidden_size": 48, "n_head": 6}),
        ("falcon", {"alibi": False, "multi_query": True, "parallel_attn": True}),
        (
            "falcon",
            {
                "alibi": False,
                "new_decoder_architecture": True,
                "num_kv_heads": 2,
                "parallel_attn": True,
            },
        ),
        ("falcon", {"alibi": True, "multi_query": True, "num_attention_heads": 12}),
    ],
)
def test_settings_of_a_family_that_change_its_attention(
    family: str, settings: dict[str, Any]
) -> None:
    """A base that is not what Transformers computes would be refused."""
    own = tiny_config(family).to_dict() | settings
    width = own["num_attention_heads"] * 8 if family == "falcon" else own["hidden_size"]
    config = type(tiny_config(family)).from_dict(own | {"hidden_size": width})
    model = seeded(AutoModelForCausalLM.from_config(config), seed=0)
    Runner(Base(describe(model, family), model, tiny_tokenizer()), BLOCKS_EACH)


@dataclass(frozen=True)
class Encoded:
    """An encoder with a delta in each slot, and PEFT's model of each."""

    runner: Runner
    deltas: dict[int, Delta]
    models: dict[int, PeftModel]

    def states(self, *slots: int) -> dict[int, Tensor]:
        """Each slot's last hidden states, or scores, in one step."""
        items = [self._item(slot) for slot in slots]
        hidden = self.runner.forward(items).hidden
        return {
            slot: hidden[at] if self.pooled(slot) else self._scores(slot, hidden[at])
            for at, slot in enumerate(slots)
        }

    def pooled(self, slot: int) -> bool:
        """Whether a slot's delta has no head of its own."""
        return not self.deltas[slot].labels

    def ids(self, slot: int) -> Tensor:
        """A slot's own text."""
        return torch.randint(4, 120, (5 + 3 * slot,), generator=torch.Generator().manual_seed(slot))

    def _item(self, slot: int) -> Item:
        extent = extent_of(self.deltas[slot], self.runner.base.spec)
        tokens = [4] * extent.rows + self.ids(slot).tolist()
        return Item(slot, tokens, 0, extent, wants_hidden=True)

    def _scores(self, slot: int, hidden: Tensor) -> Tensor:
        scores = self.runner.scores(slot, hidden)
        assert scores is not None
        return scores


def configs(family: str) -> Generator[PeftConfig]:
    for kind in KINDS:
        if family not in UNABLE.get(kind, ()):
            yield PEFT[kind](family, "FEATURE_EXTRACTION")
    heads = FAMILIES[family]
    for task, layout in (("SEQ_CLS", heads.classifier), ("TOKEN_CLS", heads.tagger)):
        if layout is not None:
            kept = heads.kept(layout)
            yield LoraConfig(
                task_type=task, r=4, target_modules=targets_of(family), modules_to_save=kept
            )


@pytest.fixture(scope="module", params=ENCODERS)
def encoded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    family: str = request.param
    found = Encoded(Runner(tiny_base(family), 0), {}, {})
    for slot, config in enumerate(configs(family), start=1):
        folder = tmp_path_factory.mktemp("delta")
        found.models[slot] = save(family, config, folder)
        found.deltas[slot] = load(folder, found.runner.base.spec)
        found.runner.wiring.install(slot, found.deltas[slot])
    return found


def test_an_encoders_kinds_in_one_step_and_alone(encoded: Encoded) -> None:
    together = encoded.states(*encoded.deltas)
    for slot, found in together.items():
        with quietly():
            expected = reference(encoded.models[slot], encoded.ids(slot))
        torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE)
        alone = encoded.states(slot)[slot]
        if encoded.runner.kernels is not None:
            assert torch.equal(alone, found)
