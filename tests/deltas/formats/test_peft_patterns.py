"""Expressions from strangers: those in use match as Python's do, hostile ones cost nothing."""

import re
import time
import tracemalloc

import pytest

from deltas.errors import InvalidDelta
from deltas.formats.peft.patterns import Patterns

MODULES = [
    "model.layers.0.self_attn.q_proj",
    "model.layers.11.mlp.down_proj",
    "model.vision_tower.layers.3.self_attn.v_proj",
    "transformer.h.5.attn.c_attn",
    "lm_head",
]
IN_USE = [
    r".*\.(q|v)_proj",
    r".*(self_attn|mlp).*(q_proj|down_proj)$",
    r"^(?!.*vision).*(?:q_proj|k_proj|v_proj)$",
    r"model\.layers\.\d+\.self_attn\.[qkvo]_proj",
    r".*\.layers\.(1[0-9]|2[0-7])\..*",
    r".*\.h\.\d{1,2}\.attn\.c_attn",
    r"(?i).*LM_HEAD",
    r"(?P<stack>model)\.layers\.[^.]+\.(?:\w+\.)*[a-z]+_proj",
    r"(?:.*?(?:language|text|layers).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense)"
    r".*?(?:q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj).*?)"
    r"|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|down_proj)))",
]


@pytest.mark.parametrize("pattern", IN_USE)
def test_what_is_in_use_matches_as_in_python(pattern: str) -> None:
    patterns = Patterns()
    found = [patterns.fullmatch(pattern, module) for module in MODULES]
    assert found == [re.fullmatch(pattern, module) is not None for module in MODULES]
    assert any(found)
    assert not all(found)


HOSTILE = {
    "counts of counts": "(?:(?:a{1000}){1000}){1000}",
    "open counts of counts": "(?:(?:a{1000,}){1000,}){1000,}",
    "doubled again and again": "(?:" * 30 + "a" + ")+" * 30,
    "lazily doubled": "(?:" * 30 + "a" + ")+?" * 30,
    "doubled behind a bracket": "(?:" * 30 + "[)]" + ")+" * 30,
    "nested": "(" * 1000 + "a" + ")" * 1000,
    "recursive": "(?:a(?R)?)",
    "recursive by number": "(a(?1)?)",
    "fuzzy": "(?:a){e<=3}",
    "verbose": "(?x)a # (",
    "a comment": "(?#a)",
    "a set of sets": "[[a]]",
    "an unclosed set": "[a",
    "closed twice": "a)(b",
    "an unclosed count": "a{1",
    "a cut escape": "a\\",
}


LARGEST = "a{9999}" * 2


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_hostile_costs_no_more_than_the_largest_that_is_taken(name: str) -> None:
    tracemalloc.start()
    _refuse(HOSTILE[name])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    begun = time.thread_time()
    assert Patterns().fullmatch(LARGEST, "a" * 19_998)
    largest = time.thread_time() - begun
    begun = time.thread_time()
    _refuse(HOSTILE[name])
    assert time.thread_time() - begun < 2 * largest


def _refuse(pattern: str) -> None:
    with pytest.raises(InvalidDelta):
        Patterns().fullmatch(pattern, MODULES[0])


def test_what_is_larger_than_the_largest_is_refused() -> None:
    for larger in (LARGEST + "a", "(?:a{9999}){2}"):
        with pytest.raises(InvalidDelta, match="repeats"):
            Patterns().fullmatch(larger, "a")


def test_the_budget_is_for_all_expressions_together() -> None:
    patterns = Patterns(seconds=0.05)

    def match_many() -> None:
        for number in range(100_000):
            patterns.fullmatch(rf"{number}(?:[a-z]|_|\.)*", MODULES[0])

    with pytest.raises(InvalidDelta, match="too long"):
        match_many()
