"""The base as it is loaded from its directory."""

from pathlib import Path

import pytest
import torch

from server.model.base import load_base
from tests.bases import save_base

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_precision_changes_neither_fingerprint_nor_buffers(
    decoder: Path, dtype: torch.dtype
) -> None:
    stored = load_base("tiny", decoder, torch.float32, CPU)
    found = load_base("tiny", decoder, dtype, CPU)
    assert found.spec.fingerprint == stored.spec.fingerprint
    assert {parameter.dtype for parameter in found.model.parameters()} == {dtype}
    for mine, other in zip(found.model.buffers(), stored.model.buffers(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("family", ["phi3", "llama"])
def test_a_context_that_ends_early_is_told(
    family: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = load_base("tiny", save_base(family, tmp_path), torch.float32, CPU)
    told = "The context of tiny is 160 tokens, not 256" in caplog.text
    assert told == (family == "phi3") == (base.spec.context == 160)
