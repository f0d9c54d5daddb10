"""`python stopper.py TID…`: stops these threads of another process until its input ends."""

import ctypes
import os
import sys

_SEIZE, _INTERRUPT = 0x4206, 0x4207
_WALL = 0x40000000


def main() -> None:
    """Stop them one by one, say so, and let go of them by ending."""
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    trace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    trace.restype = ctypes.c_long
    for thread in map(int, sys.argv[1:]):
        for request in (_SEIZE, _INTERRUPT):
            if trace(request, thread, None, None):
                raise OSError(ctypes.get_errno(), f"ptrace of {thread} failed")
        os.waitpid(thread, _WALL)
    sys.stdout.write("stopped\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
