"""Rules against Transformers' own logits processors, alone and in the sampler."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor
from transformers import (
    EncoderNoRepeatNGramLogitsProcessor,
    ForcedEOSTokenLogitsProcessor,
    LogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from server.model.rules import (
    AllowedTokens,
    BadWords,
    Bias,
    ForcedToken,
    HeldTokens,
    Penalties,
    RepeatedNgrams,
    Rule,
    TokenMask,
)
from server.model.sampler import Chosen, Lack, Row, sample
from server.model.sampling import Sampling

VOCABULARY = 97
PROMPT = [5, 31, 60]
TEXT = [*PROMPT, 9, 31, 60, 9]
GENERATED = len(TEXT) - len(PROMPT)
BIAS = {9: 3.5, 31: -100.0, 44: 8.25}
WORDS = [[44], [60, 9, 12], [9, 13], [31, 14], [7, 9, 15], [1, 9, 31, 60, 9, 16]]
SIZES = (1, 2, 3, 4, 5, len(TEXT), len(TEXT) + 1, len(TEXT) + 2)
SOURCE = [31, 60, 9, 13, 9, 44, *TEXT, 77, 60, 9]
OTHERS = [token for token in range(VOCABULARY) if token not in (9, 12, 60)]


def logits(seed: int = 1) -> Tensor:
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


def suppress(tokens: list[int]) -> LogitsProcessor:
    return SuppressTokensLogitsProcessor(tokens, device="cpu")


PAIRS: list[tuple[Rule, LogitsProcessor, list[int]]] = [
    (
        Bias(torch.tensor(list(BIAS)), torch.tensor(list(BIAS.values()))),
        SequenceBiasLogitsProcessor([[[token], value] for token, value in BIAS.items()]),
        TEXT,
    ),
    (Penalties(repetition=5.0), RepetitionPenaltyLogitsProcessor(5.0), TEXT),
    (AllowedTokens(torch.tensor([60, 9, 12])), suppress(OTHERS), TEXT),
    (
        HeldTokens(frozenset({2, 44}), GENERATED + 1),
        MinNewTokensLengthLogitsProcessor(len(PROMPT), GENERATED + 1, [2, 44], device="cpu"),
        TEXT,
    ),
    (
        HeldTokens(frozenset({2, 44}), GENERATED),
        MinNewTokensLengthLogitsProcessor(len(PROMPT), GENERATED, [2, 44], device="cpu"),
        TEXT,
    ),
    # Words are looked for in what was generated alone.
    (
        BadWords(tuple(map(tuple, WORDS))),
        NoBadWordsLogitsProcessor(WORDS),
        TEXT[len(PROMPT) :],
    ),
    *((RepeatedNgrams(size), NoRepeatNGramLogitsProcessor(size), TEXT) for size in SIZES),
    *(
        (
            RepeatedNgrams(size, torch.tensor(SOURCE)),
            EncoderNoRepeatNGramLogitsProcessor(size, torch.tensor(SOURCE)),
            TEXT,
        )
        for size in SIZES
    ),
]


@pytest.mark.parametrize(("rule", "processor", "read"), PAIRS)
def test_a_rule_is_the_references(rule: Rule, processor: LogitsProcessor, read: list[int]) -> None:
    found = logits()
    rule.apply(found, TEXT, GENERATED)
    expected = processor(torch.tensor([read]), logits()[None])[0]
    assert torch.equal(found, expected)


def test_ngrams_are_repeated_where_they_are_whole() -> None:
    """Each size forbids what follows so many of the text's last tokens less one."""
    for source, forbidden in (
        (None, [[5, 9, 31, 60], [31], [31], [31], [], [], [], []]),
        (SOURCE, [[5, 9, 13, 31, 44, 60, 77], [13, 31, 44, 77]]),
    ):
        for size, tokens in zip(SIZES, forbidden, strict=False):
            found = torch.zeros(VOCABULARY)
            tensor = None if source is None else torch.tensor(source)
            RepeatedNgrams(size, tensor).apply(found, TEXT, GENERATED)
            assert found.isinf().nonzero()[:, 0].tolist() == tokens


def test_a_words_last_token_is_free_until_the_rest_is_there() -> None:
    rule = BadWords(tuple(map(tuple, WORDS)))
    for generated, forbidden in ((4, [12, 13, 44]), (1, [13, 44]), (0, [44])):
        found = torch.zeros(VOCABULARY)
        rule.apply(found, TEXT, generated)
        assert found.isinf().nonzero()[:, 0].tolist() == forbidden


def test_presence_and_frequency_count_what_was_generated() -> None:
    found = torch.zeros(VOCABULARY)
    Penalties(presence=0.5, frequency=0.25).apply(found, TEXT, GENERATED)
    expected = torch.zeros(VOCABULARY)
    # Token 5 is the prompt's alone.
    expected[[9, 31, 60]] = torch.tensor([-1.0, -0.75, -0.75])
    assert torch.equal(found, expected)


def row(*rules: Rule, temperature: float = 0.0) -> Row:
    generator = torch.Generator().manual_seed(5)
    return Row(Sampling(temperature=temperature), generator, TEXT, GENERATED, rules)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rows_choose_by_their_own_rules(temperature: float) -> None:
    everything = [pair[0] for pair in PAIRS]
    rows = [(), *((rule,) for rule in everything), everything[:2], ()]
    scores = logits().expand(len(rows), -1)
    together = sample(scores, [row(*each, temperature=temperature) for each in rows])
    alone = [sample(scores[:1], [row(*each, temperature=temperature)])[0] for each in rows]
    assert together == alone
    assert together[0] == together[-1]
    if not temperature:
        for found, (rule, _, _) in zip(together[1:], PAIRS, strict=False):
            changed = logits()
            rule.apply(changed, TEXT, GENERATED)
            assert found == Chosen(int(changed.argmax()))


@pytest.mark.parametrize("seed", range(40))
def test_the_likeliest_stays_so_only_where_rules_keep_it(seed: int) -> None:
    rules = [pair[0] for pair in PAIRS]
    for first, second in product(rules, rules):
        changed = logits(seed)
        first.apply(changed, TEXT, GENERATED)
        second.apply(changed, TEXT, GENERATED)
        (found,) = sample(logits(seed)[None], [row(first, second)])
        assert found == Chosen(int(changed.argmax()))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_row_without_a_token_left_stands_alone(temperature: float) -> None:
    only = AllowedTokens(torch.tensor([2]))
    held = HeldTokens(frozenset({2}), GENERATED + 1)
    rows = [row(only, temperature=temperature), row(only, held, temperature=temperature), row()]
    found = sample(logits().expand(3, -1), rows)
    assert found == [Chosen(2), Lack.ALLOWED, Chosen(int(logits().argmax()))]


def masked(*allowed: int) -> TokenMask:
    bits = torch.zeros(-(-VOCABULARY // 32), dtype=torch.int32)
    for token in allowed:
        bits[token // 32] |= 1 << token % 32
    return TokenMask(bits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_mask_leaves_what_the_same_tokens_allowed_do(
    dtype: torch.dtype, temperature: float
) -> None:
    """By kernels, which float64 has none of, and without."""
    tokens = sorted(logits().argsort()[: VOCABULARY // 2].tolist())
    only = AllowedTokens(torch.tensor(tokens))
    held = HeldTokens(frozenset(tokens), GENERATED + 1)
    rows = [
        replace(row(temperature=temperature), mask=masked(*tokens)),
        replace(row(held, temperature=temperature), mask=masked(*tokens)),
        replace(row(temperature=temperature), mask=masked()),
        row(temperature=temperature),
    ]
    found = sample(logits().to(dtype).expand(4, -1), rows)
    (expected,) = sample(logits()[None], [row(only, temperature=temperature)])
    (free,) = sample(logits()[None], [row(temperature=temperature)])
    assert isinstance(expected, Chosen)
    assert expected.token in tokens
    assert found == [expected, Lack.ALLOWED, Lack.ALLOWED, free]


@pytest.mark.parametrize("left", [0, 1, 2])
@pytest.mark.parametrize("token", [44, int(logits().argmax())])
def test_a_forced_token_comes_in_its_turn_whatever_forbids_it(left: int, token: int) -> None:
    forced = ForcedToken(token, GENERATED + left - 1)
    found = logits()
    forced.apply(found, TEXT, GENERATED)
    processor = ForcedEOSTokenLogitsProcessor(len(TEXT) + left, token)
    assert torch.equal(found, processor(torch.tensor([TEXT]), logits()[None])[0])
    assert forced.is_over(GENERATED) == (left == 0)
    held = HeldTokens(frozenset({token}), GENERATED + 1)
    for temperature in (0.0, 1.0):
        (chosen,) = sample(logits()[None], [row(held, forced, temperature=temperature)])
        assert (chosen == Chosen(token)) == (left == 1)


def test_what_holds_tokens_back_is_over_in_time() -> None:
    held = HeldTokens(frozenset({2}), 3)
    assert [held.is_over(generated) for generated in range(5)] == [False] * 3 + [True] * 2
