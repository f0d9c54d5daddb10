"""Deltas that many tests share, made once."""

import pytest

from tests.server.engine.references import Deltas, references


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Deltas:
    return references("llama", tmp_path_factory.mktemp("llama"))
