"""The sampler against Transformers' own logits processors, row by row."""

import pytest
import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from server.model.rules import Penalties, Rule
from server.model.sampler import Chosen, Lack, Row, sample
from server.model.sampling import Sampling

VOCABULARY = 97
TEXT = [5, 9, 9, 31, 60, 9]
DRAWS = 400

SAMPLINGS = [
    Sampling(temperature=1.0),
    Sampling(temperature=0.7, top_k=5),
    Sampling(temperature=1.3, top_p=0.8),
    Sampling(temperature=1.0, min_p=0.2),
    Sampling(temperature=0.9, top_k=20, top_p=0.9, min_p=0.05, repetition_penalty=1.4),
    Sampling(temperature=1.0, top_k=1),
    Sampling(temperature=1.0, top_p=1e-6),
]


def row(sampling: Sampling, seed: int = 0) -> Row:
    rules: tuple[Rule, ...] = (Penalties(sampling.repetition_penalty),)
    if sampling.repetition_penalty == 1:
        rules = ()
    return Row(sampling, torch.Generator().manual_seed(seed), TEXT, 2, rules)


def logits(rows: int, seed: int = 1) -> Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3


def chosen(found: list[Chosen | Lack]) -> list[int]:
    return [one.token for one in found if isinstance(one, Chosen)]


def processors(sampling: Sampling) -> list[LogitsProcessor]:
    return [
        RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
        TemperatureLogitsWarper(sampling.temperature),
        TopKLogitsWarper(sampling.top_k or VOCABULARY),
        TopPLogitsWarper(sampling.top_p),
        MinPLogitsWarper(sampling.min_p),
    ]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_draws_follow_the_reference_distribution(sampling: Sampling) -> None:
    scores = logits(1)
    expected = scores.clone()
    for processor in processors(sampling):
        expected = processor(torch.tensor([TEXT]), expected)
    probabilities = expected.softmax(dim=-1)[0]
    rows = [row(sampling, seed) for seed in range(DRAWS)]
    drawn = torch.tensor(chosen(sample(scores.expand(DRAWS, -1), rows)))
    counts = torch.bincount(drawn, minlength=VOCABULARY) / DRAWS
    assert not counts[probabilities == 0].any()
    deviation = (probabilities * (1 - probabilities) / DRAWS).sqrt()
    # Rare tokens are Poisson rather than normal: a draw or two of slack.
    assert ((counts - probabilities).abs() <= 5 * deviation + 2 / DRAWS).all()


def test_rows_are_independent_of_their_company() -> None:
    scores = logits(len(SAMPLINGS))
    together = chosen(sample(scores, [row(s, seed=4) for s in SAMPLINGS]))
    alone = [
        chosen(sample(scores[[index]], [row(s, seed=4)]))[0] for index, s in enumerate(SAMPLINGS)
    ]
    assert together == alone


def test_greedy_ignores_the_generator() -> None:
    scores = logits(2)
    found = chosen(sample(scores, [row(Sampling(), 1), row(Sampling(), 2)]))
    assert found == scores.argmax(dim=-1).tolist()


def test_logprobs_are_those_of_the_unmodified_logits() -> None:
    scores = logits(1)
    wanted = Sampling(temperature=0.3, top_k=2, repetition_penalty=2.0, logprobs=4)
    (found,) = sample(scores, [row(wanted)])
    assert isinstance(found, Chosen)
    reference = scores[0].log_softmax(dim=-1)
    assert found.logprob == pytest.approx(float(reference[found.token]))
    values, indices = reference.topk(4)
    assert [token for token, _ in found.top] == indices.tolist()
    assert [value for _, value in found.top] == pytest.approx(values.tolist())


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_stands_alone(poison: float) -> None:
    scores = logits(3)
    scores[1, 4] = poison
    rows = [row(Sampling(temperature=1.0)), row(Sampling(temperature=1.0)), row(Sampling())]
    first, second, third = sample(scores, rows)
    assert second is Lack.FINITE
    assert isinstance(first, Chosen)
    assert isinstance(third, Chosen)
    assert third.token == int(scores[2].argmax())
