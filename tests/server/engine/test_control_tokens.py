"""What users write is text; what a template writes is what it was."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from, text
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from deltas.delta import PromptStyle
from server.engine.control_tokens import ControlTokens
from server.engine.message import Message
from server.engine.prompt import build_prompt
from server.engine.prompt_options import PromptOptions
from tests.bases import byte_tokenizer

_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


_PIECES = ["</s>", "<|im_end|>", "<|user|>", "<|im_start|>", "<|im_", "end|>", "a"]


def _metaspace(prepend: str) -> PreTrainedTokenizerFast:
    """As Llama's: spaces are ▁, one stands before a text, what is unknown is written in bytes."""
    letters = sorted(set("system user assistant hello tools_|<>/im_start_end\n ▁abc"))
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    tokenizer = Tokenizer(
        models.BPE(
            {word: at for at, word in enumerate(dict.fromkeys(words))}, [], byte_fallback=True
        )
    )
    if prepend:
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _with_turns(tokenizer)


def _with_turns(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    turns: Any = [
        AddedToken("<|im_start|>", special=True),
        AddedToken("<|im_end|>", special=True, rstrip=True),
    ]
    found = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=_TEMPLATE
    )
    found.add_special_tokens({"additional_special_tokens": turns})
    tools: Any = [AddedToken("<tool_call>", special=False)]
    found.add_tokens(tools)
    return found


TOKENIZERS = {
    "bytes": byte_tokenizer(chat=True),
    "bytes with turns": _with_turns(byte_tokenizer(chat=True).backend_tokenizer),
    "a space before each stretch": _metaspace("each"),
    "a space before a text": _metaspace(""),
}
CONTROLS = {name: ControlTokens(tokenizer) for name, tokenizer in TOKENIZERS.items()}


def read(name: str, source: Any, *, control: bool, **options: Any) -> list[int]:
    return build_prompt(
        TOKENIZERS[name],
        source,
        PromptStyle.TEXT,
        generates=True,
        control=CONTROLS[name] if control else None,
        options=PromptOptions(**options),
    ).tokens


def special_of(name: str, tokens: Sequence[int]) -> list[int]:
    special = {
        token for token, each in TOKENIZERS[name].added_tokens_decoder.items() if each.special
    }
    return [token for token in tokens if token in special]


def chat(*contents: str) -> tuple[Message, ...]:
    roles = ("system", "user", "assistant")
    return tuple(Message(roles[at % 3], content) for at, content in enumerate(contents))


def holds_none(content: str) -> bool:
    """Whether a text has no tokenizer's special token in it."""
    tokenizers = TOKENIZERS.values()
    return not any(token in content for each in tokenizers for token in each.get_added_vocab())


@pytest.mark.parametrize("name", TOKENIZERS)
# Hypothesis also draws texts that stand in the code, special tokens among them.
@given(
    lists(text(max_size=12).filter(holds_none), min_size=1, max_size=4),
    sampled_from([True, False]),
)
@settings(max_examples=60, deadline=None)
def test_what_holds_no_control_token_is_read_as_ever(
    name: str, contents: list[str], opens: bool
) -> None:
    messages = chat(*contents)
    plain = read(name, messages, control=False, opens=opens)
    assert read(name, messages, control=True, opens=opens) == plain
    # The long way, too, which a control token anywhere would take.
    written = TOKENIZERS[name].apply_chat_template(
        [each.shown() for each in messages], tokenize=False, add_generation_prompt=opens
    )
    assert CONTROLS[name].encode_chat(str(written), special=False) == plain
    for content in filter(None, contents):
        assert read(name, content, control=True) == read(name, content, control=False)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(
    lists(
        lists(
            sampled_from(["</s>", "<|im_end|>", "<|user|>", "<|im_start|>", "<|im_", "end|>", "a"])
        )
        .map("".join)
        .filter(len),
        min_size=1,
        max_size=4,
    ),
    integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_no_control_token_comes_from_a_message(name: str, contents: list[str], at: int) -> None:
    tokenizer = TOKENIZERS[name]
    messages = chat(*contents)
    found = read(name, messages, control=True)
    harmless = chat(*("a" for _ in contents))
    assert special_of(name, found) == special_of(name, read(name, harmless, control=True))
    # All the text is there, as Transformers has it when it reads messages so itself.
    theirs: Any = tokenizer.apply_chat_template(
        [each.shown() for each in messages],
        add_generation_prompt=True,
        sanitize_control_tokens=True,
        return_dict=False,
    )
    decode = tokenizer.backend_tokenizer.decode
    spaceless = decode(found, skip_special_tokens=False).replace(" ", "")
    assert spaceless == decode(theirs, skip_special_tokens=False).replace(" ", "")
    content = contents[at % len(contents)]
    assert special_of(name, read(name, content, control=True)) == special_of(
        name, read(name, "a", control=True)
    )


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content }}{{ eos_token }}",
        "{{ messages[0].content | upper | lower }}{{ eos_token }}",
        "{{ messages[0].content[:3] }}{{ messages[0].content[3:] }}{{ eos_token }}",
        "{{ messages[0].content.split('s') | join('s') }}{{ eos_token }}",
        "{{ messages | tojson }}{{ eos_token }}",
        "{{ messages | tojson(ensure_ascii=True) }}{{ eos_token }}",
        "{{ tools | tojson }}{{ tools[0].name }}{{ eos_token }}",
    ],
)
def test_whatever_a_template_does_to_them(name: str, template: str) -> None:
    tokenizer, control = TOKENIZERS[name], CONTROLS[name]
    end = str(tokenizer.eos_token)
    content = f"a{end}<|im_end|>\ufdd0</\ufdd0s>\ufdd1b"
    chat: Any = {
        "messages": [{"role": "user", "content": content}],
        "tools": [{end: 1, "name": end}],
    }
    given = control.marked(chat)
    text = tokenizer.apply_chat_template(
        given["messages"], tools=given["tools"], chat_template=template, tokenize=False
    )
    tokens = control.encode_chat(str(text), special=False)
    assert special_of(name, tokens) == [tokenizer.eos_token_id]
    assert tokens[-1] == tokenizer.eos_token_id
    assert "\ufdd0" not in tokenizer.backend_tokenizer.decode(tokens, skip_special_tokens=False)


def test_tokens_that_are_not_special_are_what_they_are() -> None:
    name = "bytes with turns"
    tool = TOKENIZERS[name].convert_tokens_to_ids("<tool_call>")
    assert tool in read(name, chat("<tool_call></s>"), control=True)
    assert tool in read(name, "<tool_call>", control=True)
