"""`python keeper.py LIFELINE GROUP COMMAND…`: runs a command for as long as a pipe is open.

LIFELINE is the descriptor of a pipe's end. The other end is held by whoever wants the command: it
closes when they are done and, whatever ends them, when they are gone. Then, as at SIGTERM, the
command is asked to end and given a few seconds, and what is left of it and of all that it started
is killed. GROUP is the directory of a control group to run it in, which is removed behind it, or
empty.
"""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

_GRACE_SECONDS = 10.0
_NOT_FOUND = 127


def main() -> int:
    """Run the command to its end; gives its exit status, above 128 where a signal ended it."""
    lifeline, group, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    ended, end = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(end, b"."))

    def join() -> None:
        if group:
            Path(group, "cgroup.procs").write_text("0")

    try:
        # A session of its own is a group of its own: whatever the command starts ends with it.
        process = subprocess.Popen(command, start_new_session=True, preexec_fn=join)
    except (OSError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{error}\n")
        status = _NOT_FOUND
    else:
        waiting = threading.Thread(target=_wait, args=(process, end), daemon=True)
        waiting.start()
        select.select((lifeline, ended), (), ())
        process.terminate()
        waiting.join(_GRACE_SECONDS)
        # Gone or not: nobody else gets the number of a leader whose group has members.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    if group:
        _remove(group)
    return status if status >= 0 else 128 - status


def _wait(process: subprocess.Popen[bytes], end: int) -> None:
    process.wait()
    os.write(end, b".")


def _remove(group: str) -> None:
    # What was killed leaves it a little later.
    for _ in range(100):
        with suppress(OSError):
            Path(group).rmdir()
            return
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
