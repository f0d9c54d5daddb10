"""Chats written out by templates that nobody vouches for, against Transformers' own writing."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deltas.delta import Delta, TaskType
from deltas.errors import InvalidDelta
from server.engine.message import Chat, Message
from server.engine.template_worker import MAX_TEXT
from server.engine.templates import Templates
from server.errors import InvalidRequest
from tests.bases import byte_tokenizer
from tests.server.engine.call_templates import TEMPLATES

CHAT = Chat(
    (
        Message("system", "Be brief. <|user|>"),
        Message("user", "naïve café — 東京 🙂"),
        Message("assistant", "No\n\nyes."),
        Message("user", ""),
    )
)
ROLES = (
    "{% for m in messages %}{{ bos_token }}{{ m.role }}: {{ m['content'] | trim }}\n{% endfor %}"
)
FEATURES = """
{%- set state = namespace(turns=0) %}
{%- for message in messages %}
    {%- if message.role == 'system' %}{% continue %}{% endif %}
    {%- set state.turns = state.turns + 1 %}
    {%- if loop.last and add_generation_prompt %}{{ eos_token }}{% break %}{% endif %}
    {{- message | tojson }}
    {% generation %}{{ message.content.split('y')[0] }}{% endgeneration %}
{%- endfor %}{{ state.turns }}
"""
FOREVER = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture(scope="module")
def templates() -> Iterator[Templates]:
    found = Templates(byte_tokenizer(chat=True).special_tokens_map)
    yield found
    found.close()


def delta(template: str) -> Delta:
    return replace(Delta(TaskType.GENERATE, ()), chat_template=template)


def workers() -> set[int]:
    """The processes of this one's that write chats out."""
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    children = {int(pid) for each in lists for pid in each.read_text().split()}
    named = b"template_worker.py"
    return {pid for pid in children if named in Path(f"/proc/{pid}/cmdline").read_bytes()}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("template", [ROLES, FEATURES, byte_tokenizer(chat=True).chat_template])
async def test_a_chat_is_written_as_transformers_does(template: str, templates: Templates) -> None:
    expected = byte_tokenizer(chat=True).apply_chat_template(
        [{"role": message.role, "content": message.content} for message in CHAT.messages],
        chat_template=template,
        tokenize=False,
        add_generation_prompt=True,
    )
    assert await templates.write(template, CHAT.shown()) == expected


async def test_a_template_refuses_in_its_own_words(templates: Templates) -> None:
    refusing = "{{ raise_exception('Roles must\n alternate' + '!' * 500) }}"
    with pytest.raises(InvalidRequest, match=r"not take these messages: Roles must alternate!+…"):
        await templates.write(refusing, CHAT.shown())
    with pytest.raises(InvalidRequest, match="'nothing' is undefined") as caught:
        await templates.write("{{ nothing.at.all }}", CHAT.shown())
    assert caught.value.param == "input"
    # It may take other chats, so that it is no reason to refuse the delta.
    templates.vet(delta(refusing))


@pytest.mark.parametrize(
    "template",
    [
        FOREVER,
        "{{ 10 ** (10 ** 10) }}",
        "{{ 'a' * 10 ** 10 }}",
        "{% for a in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
        f"{{{{ 'a' * {MAX_TEXT + 1} }}}}",
        "{{ " + "(" * 30000 + "1" + ")" * 30000 + " }}",
        "{% if %}",
        "{{ '\\ud800' }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
    ],
)
async def test_hostile_ones_hold_nobody_up(template: str, templates: Templates) -> None:
    begin, turns = time.monotonic(), 0
    writing = asyncio.ensure_future(templates.write(template, CHAT.shown()))
    while not writing.done():
        await asyncio.sleep(0.01)
        turns += 1
    with pytest.raises(InvalidRequest, match="chat template does not take"):
        await writing
    # Held up, there is one turn, however long that takes; some are refused at once.
    assert turns > 3 or time.monotonic() - begin < 0.5
    assert await templates.write("fine", CHAT.shown()) == "fine"


async def test_one_that_does_not_end_is_not_tried_again_soon(templates: Templates) -> None:
    with pytest.raises(InvalidDelta, match="processor time"):
        templates.vet(delta(FOREVER + "again"))
    with pytest.raises(InvalidRequest, match="lately"):
        await templates.write(FOREVER + "again", CHAT.shown())


async def test_one_that_was_ended_is_asked_for_its_form_again(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as busy:
        busy.setattr("server.engine.templates._ANSWER_SECONDS", 0.0)
        busy.setattr("server.engine.templates._BARRED_SECONDS", 0.0)
        assert await templates.form(TEMPLATES["hermes"]) is None
    assert await templates.form(TEMPLATES["hermes"]) is not None


@pytest.mark.parametrize("template", ["{% if %}", f"{{{{ 'a' * {MAX_TEXT + 1} }}}}"])
def test_unsound_ones_are_refused_beforehand(template: str, templates: Templates) -> None:
    with pytest.raises(InvalidDelta, match="chat template cannot be used"):
        templates.vet(delta(template))


async def test_their_process_has_no_more_than_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POLYDELTA_SECRET", "key")
    templates, before = Templates({}), workers()
    assert await templates.write("x", CHAT.shown()) == "x"
    (pid,) = workers() - before
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (0, 0)
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == (0, 0)
    assert b"POLYDELTA_SECRET" not in environment(pid)
    kill(pid)
    assert await templates.write("y", CHAT.shown()) == "y"
    templates.close()
    assert workers() <= before
