"""`polydelta task traffic`: how a task's requests are shared, and what its versions make of it."""

from contextlib import suppress
from time import sleep
from typing import Annotated

import typer

from polydelta_client import Polydelta, Sharing, StepBack, Traffic
from server.cli.flags import Format, Url, flag
from server.cli.printing import err, out, print_json, print_table

_HEADINGS = (
    "NUMBER", "VERSION", "SHARE", "REQUESTS", "FAILED", "FIRST TOKEN p50/p99", "WHOLE p50/p99",
    "SHADOW", "EQUAL", "LIKENESS", "STEPPED BACK",
)  # fmt: skip

_EVERY = 2.0
"""Seconds between looks."""


def traffic(
    name: Annotated[str, typer.Argument(help="The task.")],
    shares: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VERSION=SHARE]…",
            help="Versions that are to share the requests, such as v1=90 v2=10.",
        ),
    ] = None,
    shadow: Annotated[
        str | None,
        flag("shadow", twin="traffic-shadow", help="A version to compare, and never to return."),
    ] = None,
    step_back: Annotated[
        float | None,
        flag(
            "step-back",
            twin="traffic-step-back",
            min=0,
            max=1,
            help="The share of errors, 0 to 1, beyond which a version loses its share.",
        ),
    ] = None,
    window: Annotated[
        float,
        flag("window", twin="traffic-window", help="Seconds in which errors are counted."),
    ] = 60.0,
    requests: Annotated[
        int,
        flag("requests", twin="traffic-requests", help="Requests of which there must be errors."),
    ] = 20,
    watch: Annotated[
        bool, flag("watch", twin="traffic-watch", help="Show it again and again, until Ctrl-C.")
    ] = False,
    end: Annotated[
        bool, flag("end", twin="traffic-end", help="Have the active version answer alone again.")
    ] = False,
    url: Url = None,
    output: Format = "text",
) -> None:
    """Show how a task's requests are shared among its versions, or share them."""
    given = _shares(shares or ())
    if watch and (end or given or shadow):
        raise typer.BadParameter("--watch only shows; share the requests first")
    if end and (given or shadow):
        raise typer.BadParameter("--end takes no shares and no --shadow")
    if step_back is not None and not (given or shadow):
        raise typer.BadParameter("--step-back needs shares: name them again")
    with Polydelta(url) as client:
        if end:
            client.tasks.end_traffic(name)
            return err.print(f"{name}: the active version answers alone")
        if given or shadow:
            bound = _bound(step_back, window, requests)
            found = client.tasks.set_traffic(name, given, shadow=shadow, step_back=bound)
        elif watch:
            return _watch(client, name, output)
        else:
            found = client.tasks.traffic(name)
    return _print(found, output)


def _watch(client: Polydelta, name: str, output: str) -> None:
    with suppress(KeyboardInterrupt):
        while True:
            found = client.tasks.traffic(name)
            if out.is_terminal:
                out.clear()
            _print(found, output)
            sleep(_EVERY)


def _shares(given: list[str] | tuple[()]) -> dict[str | int, int]:
    shares: dict[str | int, int] = {}
    for each in given:
        which, _, share = each.partition("=")
        if not which or not share.isascii() or not share.isdigit():
            raise typer.BadParameter(f"{each} is not VERSION=SHARE, such as v2=10")
        if which in shares:
            raise typer.BadParameter(f"{which} has two shares; give it one")
        shares[which] = int(share)
    return shares


def _bound(errors: float | None, window: float, requests: int) -> StepBack | None:
    if errors is None:
        return None
    return {"errors": errors, "window": window, "requests": requests}


def _print(found: Traffic, output: str) -> None:
    if output == "json":
        return print_json(found.model_dump())
    print_table(_HEADINGS, [_row(each) for each in found.versions])
    if not found.shared:
        err.print(f"{found.task}: the active version answers alone")
    return None


def _row(version: Sharing) -> tuple[object, ...]:
    compared, step = version.compared, version.stepped_back
    return (
        version.number,
        version.version,
        f"{version.percent:.4g} %",
        version.requests,
        version.failed,
        _seconds(version.seconds.first_token_p50, version.seconds.first_token_p99),
        _seconds(version.seconds.whole_p50, version.seconds.whole_p99),
        f"{compared.answers} compared" if version.shadow else "",
        _percent(compared.equal),
        _percent(compared.likeness),
        step.reason if step is not None else "",
    )


def _seconds(half: float | None, most: float | None) -> str:
    return "" if half is None or most is None else f"{half:.3g} / {most:.3g} s"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.3g} %"
