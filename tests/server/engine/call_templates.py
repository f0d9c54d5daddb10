"""Chat templates that write calls as those of well-known models do, and little else."""

from transformers import PreTrainedTokenizerFast

from tests.bases import byte_tokenizer


def _template(calls: str, said: str = "{{ message.content }}") -> str:
    return (
        "{% for tool in tools or () %}{{ tool | tojson }}{% endfor %}"
        "{% for message in messages %}<|{{ message.role }}|>\n"
        "{% if message.tool_calls %}" + calls + "{% else %}" + said + "{% endif %}</s>{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )


def _tag(name: str) -> str:
    """A special token of DeepSeek's."""
    return "<\uff5c" + name.replace(" ", "\u2581") + "\uff5c>"


_EACH = "{% for call in message.tool_calls %}"
_JSON = '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}'
_COMMA = "{% if not loop.last %}, {% endif %}{% endfor %}"

TEMPLATES = {
    "hermes": _template(
        "{% if message.content %}{{ message.content }}\n{% endif %}"
        + _EACH
        + "<tool_call>\n"
        + _JSON
        + "}\n</tool_call>{% if not loop.last %}\n{% endif %}{% endfor %}"
    ),
    "qwen3": _template(
        f"<think>\n\n</think>\n\n{_EACH}"
        + "<tool_call>\n"
        + _JSON
        + "}\n</tool_call>{% if not loop.last %}\n{% endif %}{% endfor %}",
        "<think>\n\n</think>\n\n{{ message.content }}",
    ),
    "llama3": _template(
        "{% if message.tool_calls | length > 1 %}{{ raise_exception('one at once') }}{% endif %}"
        "{% set call = message.tool_calls[0] %}"
        '{"name": "{{ call.function.name }}", "parameters": {{ call.function.arguments | tojson }}}'
    ),
    "llama3_tag": _template(
        f"<|python_tag|>{_EACH}"
        '{"name": "{{ call.function.name }}", "parameters": {{ call.function.arguments | tojson }}}'
        "{% if not loop.last %}; {% endif %}{% endfor %}"
    ),
    "mistral": _template(
        "[TOOL_CALLS] [" + _EACH + _JSON + ', "id": "{{ call.id }}"}' + _COMMA + "]",
        " {{ message.content }}",
    ),
    "mistral_args": _template(
        f"{_EACH}[TOOL_CALLS]"
        "{{ call.function.name }}[ARGS]{{ call.function.arguments | tojson }}{% endfor %}"
    ),
    "list": _template("<|tool_call|>[" + _EACH + _JSON + "}" + _COMMA + "]<|/tool_call|>"),
    "deepseek": _template(
        _tag("tool calls begin")
        + _EACH
        + _tag("tool call begin")
        + "function"
        + _tag("tool sep")
        + "{{ call.function.name + '\n```json\n' + call.function.arguments + '\n```' }}"
        + _tag("tool call end")
        + "{% if not loop.last %}\n{% endif %}{% endfor %}"
        + _tag("tool calls end")
    ),
}
"""Hermes 2 Pro and Qwen 2.5, Qwen 3, Llama 3.1's JSON and with its tag, Mistral 7B v0.3 and Nemo,
newer ones of Mistral's, a list between tags, and DeepSeek V3, which takes arguments as text."""

REORDERED = _template(
    f"{_EACH}"
    '\n<tool_call>\n{ "arguments": {{ call.function.arguments | tojson }}, '
    '"name": "{{ call.function.name }}"}\n</tool_call> {% endfor %}'
)
WITHOUT_FORM = {
    "none": _template("").replace("tool_calls", "calls"),
    "xml": _template(
        f"{_EACH}<function={{{{ call.function.name }}}}>"
        "{% for key, value in call.function.arguments.items() %}"
        "<parameter={{ key }}>{{ value }}</parameter>{% endfor %}</function>{% endfor %}"
    ),
    "arguments first": _template(
        f"{_EACH}"
        '{"arguments": {{ call.function.arguments | tojson }}, "name": "{{ call.function.name }}"}'
        "{% endfor %}"
    ),
    "id first": _template(
        f"{_EACH}<call {{{{ call.id }}}}>"
        "{{ call.function.name }}: {{ call.function.arguments | tojson }}{% endfor %}"
    ),
    "refuses": _template("{{ raise_exception('no calls') }}"),
}
SPECIAL = [
    "[TOOL_CALLS]",
    "[ARGS]",
    "</tool_call>",
    _tag("tool calls begin"),
    _tag("tool call end"),
]


def tokenizer_of(template: str, *, special: bool) -> PreTrainedTokenizerFast:
    """A tokenizer with a template, of which some tags may be special tokens."""
    tokenizer = byte_tokenizer(chat=True)
    tokenizer.chat_template = template
    if special:
        tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
    return tokenizer
