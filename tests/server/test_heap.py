"""Errors of exhausted memory are told from others."""

import pytest
import torch

from server.system.heap import is_exhaustion


def test_exhaustion_is_told_by_whoever_meets_it() -> None:
    with pytest.raises(RuntimeError) as exhausted:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_exhaustion(exhausted.value)
    assert is_exhaustion(MemoryError())
    assert not is_exhaustion(RuntimeError("shapes do not fit"))
