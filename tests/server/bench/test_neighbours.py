import os
from pathlib import Path

import pytest

from server.bench.neighbours import neighbours
from tests.processes import marked


def processor_seconds(process: str) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children() -> list[str]:
    return Path("/proc/thread-self/children").read_text().split()


def test_so_many_processes_are_busy_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEIGHBOURS_TEST", str(os.getpid()))
    mark = f"NEIGHBOURS_TEST={os.getpid()}"
    before = set(children())
    with neighbours(2):
        busy = set(children()) - before
        assert len(busy) == 2
        assert len(marked(mark)) == 2
        # They compute for as long as they are there: each gets on.
        seen = {process: processor_seconds(process) for process in busy}
        while any(processor_seconds(process) <= seen[process] for process in busy):
            pass
    assert set(children()) == before
    assert marked(mark) == []
