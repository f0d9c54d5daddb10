"""OpenMP as processes of their own meet it: its variables are read once, when PyTorch loads."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from server.system.processors import processors

HOSTILE = {
    "OMP_NUM_THREADS": "1",
    "OMP_PROC_BIND": "true",
    "OMP_WAIT_POLICY": "active",
    "OMP_THREAD_LIMIT": "1",
    "GOMP_CPU_AFFINITY": str(min(os.sched_getaffinity(0))),
    "GOMP_SPINCOUNT": "infinity",
}


def run(*arguments: str, variables: dict[str, str]) -> Any:
    command = [sys.executable, "-P", *arguments]
    environment = os.environ | variables
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_the_command_line_finds_all_processors_whatever_openmp_was_told() -> None:
    machine = run("-m", "server.cli", "doctor", "-o", "json", variables=HOSTILE)["machine"]
    found = processors()
    assert machine["processors"]["allowed"] == found.allowed
    assert machine["threads"] == found.threads


IDLE = """
import json, os, time
from server.system.openmp import settle_openmp
settle_openmp()
import torch
default = torch.get_num_threads()
torch.set_num_threads(2)
torch.ones(1000, 1000).sum()
before = time.process_time()
time.sleep(0.5)
spent = time.process_time() - before
print(json.dumps([default, len(os.sched_getaffinity(0)), spent]))
"""


@pytest.mark.parametrize("variables", [{}, HOSTILE])
def test_threads_are_as_many_as_processors_and_sleep_when_idle(variables: dict[str, str]) -> None:
    threads, allowed, spent = run("-c", IDLE, variables=variables)
    assert (threads, allowed) == (processors().threads, len(os.sched_getaffinity(0)))
    assert spent < 0.25


GIVEN = """
import json, os
from server.system.openmp import settle_openmp, users_environment
given = dict(os.environ)
assert users_environment() == given
settle_openmp()
settle_openmp()
assert "OMP_PROC_BIND" not in os.environ
os.environ["POLYDELTA_LATER"] = "1"
print(json.dumps(users_environment() == given | {"POLYDELTA_LATER": "1"}))
"""


@pytest.mark.parametrize("variables", [{}, HOSTILE])
def test_other_programs_get_the_user_s_variables(variables: dict[str, str]) -> None:
    assert run("-c", GIVEN, variables=variables)
