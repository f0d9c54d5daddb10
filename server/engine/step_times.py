"""Step times: where steps spend their time, added up since the server started."""

from dataclasses import dataclass


@dataclass
class StepTimes:
    """Seconds by part, and the steps that they are of; written by the core's thread.

    A step is decided (`schedule`), computed (`forward`; on a device, only given to it), its tokens
    are drawn (`choose`, which waits for grammars and a device) and handed over (`deliver`).
    `prompts` is what of `forward` went to prompts, by their share of the rows.
    """

    steps: int = 0
    schedule: float = 0.0
    forward: float = 0.0
    prompts: float = 0.0
    choose: float = 0.0
    deliver: float = 0.0
