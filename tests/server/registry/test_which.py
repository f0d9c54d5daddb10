"""Which version a text means, where several could be meant."""

import pytest

from deltas.delta import DeltaRef, TaskType
from server.errors import InvalidRequest, TaskNotFound
from server.registry.names import shared
from server.registry.task import Task
from server.registry.version import Version
from server.registry.which import version_of


def task_of(*digests: str) -> Task:
    task = Task(shared("spam"))
    for digest in digests:
        task = task.put(Version(DeltaRef("spam", digest.ljust(64, "0")), TaskType.GENERATE), 0)
    return task


def test_a_beginning_of_several_digests_is_told_with_all_of_them() -> None:
    task = task_of("abcd1", "abcd2", "ef")
    with pytest.raises(InvalidRequest, match=r"Several .*abcd20000000 \(2\), abcd10000000 \(1\)"):
        version_of(task, "abcd")
    assert version_of(task, "abcd1").number == 1


def test_an_integer_is_never_a_digest() -> None:
    task = task_of("1234", "ef")
    assert version_of(task, "1234").number == 1
    with pytest.raises(TaskNotFound):
        version_of(task, 1234)
    assert version_of(task, 2).number == 2


@pytest.mark.parametrize("odd", ["a\nb", "\x1b[31m", "\u202egnp", "x" * 1000])
def test_what_is_not_there_is_told_quoted_and_bounded(odd: str) -> None:
    with pytest.raises(TaskNotFound) as caught:
        version_of(task_of("abcd"), odd)
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 300
