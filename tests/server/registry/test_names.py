"""Names: an unknown one is met with the names close to it, at next to no cost."""

import time

import pytest

from server.registry.names import not_found

NAMES = ["sentiment", "spam", "spam-v2", "topic", "headline", "tickets"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sentimnt", "Did you mean sentiment?"),
        ("sentimment", "Did you mean sentiment?"),
        ("zentiment", "Did you mean sentiment?"),
        ("spam-v3", "Did you mean spam-v2 or spam?"),
        ("sapm", "Did you mean spam?"),
        ("headlines", "Did you mean headline?"),
        ("Topic", "Did you mean topic?"),
        ("spam", "Did you mean spam-v2?"),
        ("translate", None),
        ("x", None),
    ],
)
def test_close_names_are_told(name: str, hint: str | None) -> None:
    message = str(not_found(name, NAMES))
    assert message == f"There is no task '{name}'." + (f" {hint}" if hint else "")


def test_no_more_than_three_are_told() -> None:
    message = str(not_found("task-x", [f"task-{number}" for number in range(9)]))
    assert message.endswith("Did you mean task-0 or task-1 or task-2?")


@pytest.mark.parametrize("length", [8, 120])
def test_many_names_are_no_burden(length: int) -> None:
    start = "ab" * ((length - 6) // 2)
    names = [f"{start}{index:06}" for index in range(100_000)]
    assert _time_of_an_unknown_one(start, names) < 3 * _time_of_an_unknown_one(start, names[:2000])


def _time_of_an_unknown_one(start: str, names: list[str]) -> float:
    """Seconds to meet an unknown name: the least of some, which others disturb less."""
    spent: list[float] = []
    for _ in range(5):
        begun = time.thread_time()
        assert "Did you mean" in str(not_found(f"{start}0000x1", names))
        spent.append(time.thread_time() - begun)
    return min(spent)
