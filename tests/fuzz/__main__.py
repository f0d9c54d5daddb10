"""`python -m tests.fuzz CASES [NAME [FIRST]]`: run fuzzers, and say how cases ended."""

import resource
import sys

from tests.fuzz.fuzzers import FUZZERS
from tests.fuzz.running import fuzz


def main() -> None:
    """Run all fuzzers, or the one that is named."""
    cases, *rest = sys.argv[1:]
    names = rest[:1] or list(FUZZERS)
    first = int(rest[1]) if rest[1:] else 0
    for name in names:
        ends = fuzz(name, range(first, first + int(cases)))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        sys.stdout.write(f"{name}: {dict(ends.most_common())}, {peak} MiB at most\n")
        sys.stdout.flush()


main()
