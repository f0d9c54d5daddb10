"""A base as it is served beside float32: what is read must be the base that is served."""

from pathlib import Path

import pytest
import torch

from deltas.kernels.loading import SWITCH
from server.bench.errors import BenchError
from server.bench.fidelity import fidelity
from server.bench.text import own_text
from server.build import open_base
from server.settings import Settings
from tests.bases import save_base
from tests.kernels import needs_kernels

TEXT = "The meeting is at noon, see you there. You won a prize! Call now to claim it. " * 30


def settings(base: Path, **more: str) -> Settings:
    return Settings.gather(base=str(base), device="cpu", **{"dtype": "float32", **more})


def reference(base: Path) -> float:
    """The perplexity of a text of one window by Transformers' own loss."""
    opened = open_base(settings(base))
    tokens = torch.tensor([opened.tokenizer.backend_tokenizer.encode(TEXT[:300]).ids])
    assert tokens.numel() < opened.spec.context
    with torch.inference_mode():
        return float(opened.model(tokens, labels=tokens).loss.exp())


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3_text"])
@pytest.mark.parametrize("kernels", ["on", "off"])
def test_float32_is_served_as_transformers_computes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, kernels: str
) -> None:
    if kernels == "off":
        monkeypatch.setenv(SWITCH, "off")
    base = save_base(family, tmp_path)
    found = fidelity(settings(base), TEXT[:300])
    assert found.perplexity == pytest.approx(reference(base), rel=1e-4)
    assert found.exact_perplexity == pytest.approx(found.perplexity, rel=1e-4)
    assert found.alike > 0.99
    assert found.divergence == pytest.approx(0, abs=1e-5)


@needs_kernels
def test_eight_bits_differ_more_and_weigh_less(decoder: Path) -> None:
    whole = fidelity(settings(decoder, dtype="bfloat16"), TEXT)
    eighth = fidelity(settings(decoder, dtype="bfloat16", quantize="int8"), TEXT)
    assert (whole.quantized, eighth.quantized) == (False, True)
    assert whole.positions == eighth.positions > 256
    assert 0 < whole.divergence < eighth.divergence
    assert eighth.weights < whole.weights
    assert eighth.exact_perplexity == whole.exact_perplexity


def test_what_cannot_be_judged_says_why(decoder: Path, encoder: Path) -> None:
    with pytest.raises(BenchError, match="writes no text; name a decoder"):
        fidelity(settings(encoder), TEXT)
    with pytest.raises(BenchError, match="give one of two tokens or more"):
        fidelity(settings(decoder), "")


def test_the_own_text_is_the_licence_and_the_readme() -> None:
    text = own_text()
    assert "Apache License" in text
    assert "# Polydelta" in text
