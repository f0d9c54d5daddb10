"""`python main.py MODULE`: answers lines of JSON with what a module of this directory measures.

The first line is the set-up, given to the module's `prepare`, which returns a function. Every
other line is a job for that function: the `models` and `prompts` of its requests, how many of them
may run at once (`concurrency`) and the exact number of `output_tokens` of each. It returns the
seconds after the job's beginning, or after the request's, at which each request's tokens came.
"""

import importlib
import json
import os
import sys
import time


def main() -> None:
    """Answer until the input ends."""
    # Libraries print: their words go to standard error, only answers to standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    run = None
    for line in sys.stdin:
        message = json.loads(line)
        if run is None:
            run = importlib.import_module(sys.argv[1]).prepare(message)
            answer = {}
        else:
            start = time.perf_counter()
            arrivals = run(message)
            answer = {"arrivals": arrivals, "elapsed": time.perf_counter() - start}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
