"""A base that is the language model of one that reads pictures, over the wire."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests import samples
from tests.server.api.live import Live, serving
from tests.server.api.problems import check
from tests.vision_models import save_vision_model

TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "<image>{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] }}{% endfor %}{{ '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
"""As LLaVA's own: it passes over a content that is no list of parts."""
SAID = "What <|user|> is new?"
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SAID}]
PARTS: list[Any] = [
    {"role": each["role"], "content": [{"type": "text", "text": each["content"]}]} for each in CHAT
]


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("seeing")
    base = save_vision_model("llava", folder / "base")
    (base / "chat_template.jinja").write_text(TEMPLATE)
    with serving(base, folder) as live:
        yield live


def length(live: Live, **settings: Any) -> int:
    """How many tokens Transformers makes of the chat, its words being no special tokens."""
    tokenizer = live.engine.base.tokenizer
    text = tokenizer.apply_chat_template(
        PARTS, tokenize=False, add_generation_prompt=True, **settings
    )
    before, _, behind = str(text).partition(SAID)
    plain = tokenizer(SAID, split_special_tokens=True, add_special_tokens=False)
    around = (tokenizer(each, add_special_tokens=False) for each in (before, behind))
    return sum(len(each["input_ids"]) for each in (plain, *around))


def read(live: Live, model: str, messages: list[dict[str, Any]]) -> int:
    sent = {"model": model, "messages": messages, "max_tokens": 2}
    response = live.post("/v1/chat/completions", **sent)
    assert response.status_code == 200, response.text
    return response.json()["usage"]["prompt_tokens"]


def test_a_template_that_wants_parts_is_given_parts(seeing: Live) -> None:
    assert read(seeing, "base", CHAT) == read(seeing, "base", PARTS) == length(seeing)


def test_so_is_one_that_came_with_a_task(seeing: Live) -> None:
    own = TEMPLATE.replace("</s>", "</s></s>")
    directory = seeing.write("own", samples.generator("lora", seeing.spec))
    (directory / "chat_template.jinja").write_text(own)
    seeing.http.put("/v1/tasks/own", json={"source": directory.as_uri()}).raise_for_status()
    expected = length(seeing, chat_template=own)
    assert read(seeing, "own", CHAT) == read(seeing, "own", PARTS) == expected
    assert expected > length(seeing)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ],
)
def test_pictures_and_sounds_are_refused_with_a_sentence(
    seeing: Live, part: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, part]}]
    response = seeing.post("/v1/chat/completions", model="base", messages=messages)
    said = check(response, 400, "invalid_request", "messages.0.content.1.type")
    assert "Only text is read here" in said
