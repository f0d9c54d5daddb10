"""Inputs at the edge of what a base and a task can read."""

from pathlib import Path

import pytest
import torch

from deltas.formats import native
from server.engine.engine import Engine
from server.engine.limits import Limits
from server.engine.message import Message
from server.engine.output import Classified, Tagged
from server.engine.request import Request
from server.errors import EngineDead, InvalidRequest
from server.model.base import Base
from server.model.runner import Runner
from tests.models import CONTEXT, VOCABULARY
from tests.samples import classifier, tagger
from tests.server.engine.engines import ask, cache_of, serving, tiny_base, tiny_engine, words

MESSAGES = (Message("user", words([9])),)


def tasks_on(base: Base, folder: Path) -> Engine:
    """Tasks with heads on a decoder whose cache holds one whole context."""
    native.write(classifier(base.spec, ("no", "yes")), folder / "polite", base.spec)
    native.write(tagger(base.spec, ("O", "B-X", "I-X")), folder / "names", base.spec)
    tasks = {name: folder / name for name in ("polite", "names")}
    limits = Limits(kv_cache_bytes=cache_of(base, CONTEXT))
    return tiny_engine(base, tasks, folder / "store", limits)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return tasks_on(tiny_base("llama"), tmp_path)


async def test_a_head_reads_a_whole_context(engine: Engine) -> None:
    text = words([9 + at % 90 for at in range(CONTEXT)])
    async with serving(engine):
        (label,) = await ask(engine, Request("x", "polite", text))
        (found,) = await ask(engine, Request("y", "names", text))
    assert isinstance(label, Classified)
    assert isinstance(found, Tagged)


async def test_a_tagger_reads_nothing_but_text(engine: Engine) -> None:
    async with serving(engine):
        for source in ((9, 10), MESSAGES):
            with pytest.raises(InvalidRequest, match="plain text") as caught:
                await ask(engine, Request("x", "names", source))
            assert caught.value.param == "input"


async def test_a_token_that_the_base_does_not_know(tmp_path: Path) -> None:
    base = tiny_base("llama")
    base.tokenizer.add_tokens(["<picture>"])
    async with serving(tasks_on(base, tmp_path)) as engine:
        for source in ("w009 <picture>", (9, VOCABULARY)):
            with pytest.raises(InvalidRequest, match="unknown to the base") as caught:
                await ask(engine, Request("x", "polite", source))
            assert caught.value.param == "input"


async def test_a_token_that_the_tokenizer_does_not_know(engine: Engine) -> None:
    async with serving(engine):
        for source in ((9, VOCABULARY), (9, -1)):
            with pytest.raises(InvalidRequest, match=f"between 0 and {VOCABULARY - 1}") as caught:
                await ask(engine, Request("x", "polite", source))
            assert caught.value.param == "input"


async def test_messages_that_leave_no_tokens(engine: Engine) -> None:
    engine.base.tokenizer.chat_template = "{{ '' }}"
    async with serving(engine):
        with pytest.raises(InvalidRequest, match="no tokens") as caught:
            await ask(engine, Request("x", "base", MESSAGES))
    assert caught.value.param == "input"


@pytest.mark.parametrize("template", [None, "{{ raise_exception('no') }}"])
async def test_messages_that_a_template_does_not_take(template: str | None, engine: Engine) -> None:
    engine.base.tokenizer.chat_template = template
    async with serving(engine):
        with pytest.raises(InvalidRequest, match="chat template") as caught:
            await ask(engine, Request("x", "base", MESSAGES))
    assert caught.value.param == "input"


async def test_a_lost_device_is_the_engines_end(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise torch.AcceleratorError("the device is gone")

    monkeypatch.setattr(Runner, "forward", lost)
    async with serving(engine):
        with pytest.raises(EngineDead):
            await ask(engine, Request("x", "base", (9, 10)))
        assert not engine.alive
