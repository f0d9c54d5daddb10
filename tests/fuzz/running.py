"""Running a fuzzer: every case ends in a sound delta or one of our own errors, soon."""

import shutil
import time
from collections import Counter
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from deltas.errors import DeltaError
from deltas.formats import files_of, load
from deltas.probe import warnings_of
from tests.fuzz.fuzzers import FUZZERS
from tests.fuzz.seeds import base

SECONDS = 6.0
"""The most time on the processor that one case may take; three are patterns' own budget."""


class Fault(AssertionError):
    """A case ended otherwise; its name and number make it again."""


def fuzz(name: str, numbers: range) -> Counter[str]:
    """Run some cases of a fuzzer and count how they ended; raises Fault at one that is bad."""
    ends: Counter[str] = Counter()
    with TemporaryDirectory() as folder:
        for number in numbers:
            directory = Path(folder) / "case"
            directory.mkdir()
            FUZZERS[name](directory, Random(f"{name}/{number}"))
            ends[_end(directory, f"{name} {number}")] += 1
            shutil.rmtree(directory)
    return ends


def _end(directory: Path, case: str) -> str:
    start = time.thread_time()
    try:
        files_of(directory)
        delta = load(directory, base())
        warnings_of(delta, base())
        end = "loaded"
    except DeltaError as error:
        if not str(error) or len(str(error)) > 4096 or str(directory) in str(error):
            raise Fault(f"{case}: says too little, too much or where it lies: {error}") from error
        end = type(error).__name__
    except Exception as error:
        raise Fault(f"{case}: {error!r}") from error
    if time.thread_time() - start > SECONDS:
        raise Fault(f"{case}: took {time.thread_time() - start:.1f} s")
    return end
