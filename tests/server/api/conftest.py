"""One server a module: a decoder with a task of several kinds each, and an encoder."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests import samples
from tests.server.api.live import Live, serving

LABELS = ("ham", "spam", "odd")


@pytest.fixture(scope="module")
def live(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(decoder, tmp_path_factory.mktemp("live"), drain_timeout=0) as server:
        for kind in ("lora", "bottleneck", "prefix"):
            server.add(kind, samples.generator(kind, server.spec))
        server.add("spam", samples.classifier(server.spec, LABELS))
        yield server


@pytest.fixture(scope="module")
def reader(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(encoder, tmp_path_factory.mktemp("reader"), drain_timeout=0) as server:
        server.add("topic", samples.classifier(server.spec, LABELS, kind="bottleneck"))
        server.add("names", samples.tagger(server.spec, ("O", "B-PER", "I-PER")))
        yield server


@pytest.fixture
def client(live: Live) -> Iterator[openai.OpenAI]:
    """The real client, of whichever `live` a module has."""
    with openai.OpenAI(base_url=f"{live.url}/v1", api_key="none", max_retries=0) as client:
        yield client
