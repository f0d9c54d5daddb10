"""Tiny bases on disk, made once for all tests."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from deltas.kernels.loading import staleness
from tests.bases import save_base
from tests.postgres import Cluster, cluster

# Tiny models gain nothing from a second thread, and threads that wait for each other on a busy
# machine cost minutes.
torch.set_num_threads(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer to write what docs show."""
    parser.addoption("--pictures", action="store_true", help="take the page's pictures for docs")


def pytest_sessionstart() -> None:
    """Tests of kernels would be skipped, and others slow, where the kernels are not these."""
    if (stale := staleness()) is not None:
        raise pytest.UsageError(stale)


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Servers that are told no store share one of the tests' own, never the user's."""
    os.environ["POLYDELTA_STORE"] = str(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base("llama", tmp_path_factory.mktemp("bases") / "tiny-llama")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base("bert", tmp_path_factory.mktemp("bases") / "tiny-bert")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running
