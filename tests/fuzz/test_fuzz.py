"""A few hundred cases of each fuzzer; `make fuzz` runs more."""

import resource

import pytest

from tests.fuzz.fuzzers import FUZZERS
from tests.fuzz.running import fuzz
from tests.fuzz.seeds import seeds


@pytest.mark.parametrize("name", FUZZERS)
def test_every_case_is_refused_with_a_reason_or_is_sound(name: str) -> None:
    seeds()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends = fuzz(name, range(400))
    # Cases that nothing refuses, or that all are refused for one reason, would try little.
    assert {"loaded", "InvalidDelta"} < ends.keys()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024
