"""Steps: how much work a call is, in lines of the server's own code and calls that these make."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import server

_OURS = str(Path(server.__file__).parent)


def steps_of(work: Callable[[], object]) -> int:
    """How many steps this thread takes; the same for the same work, however fast the machine is."""
    steps = 0

    def line(frame: FrameType, event: str, value: Any) -> Any:
        nonlocal steps
        del frame, value
        steps += event == "line"
        return line

    def call(frame: FrameType, event: str, value: Any) -> Any:
        del event, value
        return line if frame.f_code.co_filename.startswith(_OURS) else None

    def native(frame: FrameType, event: str, value: Any) -> None:
        nonlocal steps
        del value
        steps += event == "c_call" and frame.f_code.co_filename.startswith(_OURS)

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(call)
    sys.setprofile(native)
    try:
        work()
    finally:
        sys.setprofile(before[1])
        sys.settrace(before[0])
    return steps
