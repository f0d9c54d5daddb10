"""Tiny bases on disk, made once for all tests."""

from pathlib import Path

import pytest

from tests.bases import save_base


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base("llama", tmp_path_factory.mktemp("bases") / "tiny-llama")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base("bert", tmp_path_factory.mktemp("bases") / "tiny-bert")
