"""What a base's files hold of heads, and what they lack."""

from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from deltas.errors import InvalidDelta, UnsupportedBase, UnsupportedDelta
from deltas.formats import load
from deltas.kinds import Extent
from server.model.base import Base, load_base
from server.model.batch import Item
from server.model.runner import Runner
from tests.bases import VOCABULARY, byte_tokenizer
from tests.deltas.formats.peft_checkpoints import reference, save_over, targets_of
from tests.models import seeded, tiny_config
from tests.server.engine.references import TOLERANCE

IDS = torch.tensor([5, 17, 80, 3, 44, 101, 9])


def stored(family: str, directory: Path, *, masked: bool) -> Path:
    """A base on disk, with the head that it was trained with or bare."""
    config = tiny_config(family, vocab_size=VOCABULARY)
    model = (AutoModelForMaskedLM if masked else AutoModel).from_config(config)
    seeded(model, 0).save_pretrained(directory)
    byte_tokenizer(chat=False).save_pretrained(directory)
    return directory


def loaded(directory: Path) -> Base:
    return load_base("tiny", directory, torch.float32, torch.device("cpu"))


def check(base: Path, delta: Path, *saved: str) -> None:
    """A classifier trained over a base on disk answers as PEFT's, without what PEFT left out."""
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=4,
        target_modules=targets_of(loaded(base).spec.family.name),
        modules_to_save=[*saved] or None,
    )
    trained = save_over(model, config, delta)
    runner = Runner(loaded(base), 0)
    runner.wiring.install(1, load(delta, runner.base.spec))
    item = Item(1, IDS.tolist(), 0, Extent(), (), wants_hidden=True)
    scores = runner.scores(1, runner.forward([item]).hidden[0])
    torch.testing.assert_close(scores, reference(trained, IDS), rtol=0, atol=TOLERANCE)


def test_a_head_that_the_base_brings_is_read_from_it(tmp_path: Path) -> None:
    check(stored("modernbert", tmp_path / "base", masked=True), tmp_path / "delta")


def test_a_head_that_nobody_keeps_is_refused(tmp_path: Path) -> None:
    base = stored("modernbert", tmp_path / "base", masked=False)
    with pytest.raises(InvalidDelta, match=r"'head.dense.weight'.*\['classifier', 'head'\]"):
        check(base, tmp_path / "delta")
    check(base, tmp_path / "kept", "classifier", "head")


def test_a_pooler_that_was_not_stored_is_not_made_up(tmp_path: Path) -> None:
    base = stored("bert", tmp_path / "base", masked=True)
    with pytest.raises(UnsupportedDelta, match="pooler"):
        check(base, tmp_path / "delta")
    check(base, tmp_path / "kept", "classifier", "pooler")


def test_a_base_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    base = stored("bert", tmp_path / "base", masked=False)
    weights = load_file(base / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(UnsupportedBase, match=r"lack encoder.layer.1.output.dense.weight"):
        loaded(base)
