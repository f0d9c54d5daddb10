"""Now: what the server does, once a second, for whoever looks."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from playwright.sync_api import expect

from server.api import snapshots
from tests.server.api.live import Live, wait_until
from tests.server.engine.pacing import slowed
from tests.server.page.conftest import Visit

STEPS = 8
SLOW = 0.05
"""Seconds that `slowed` adds to each of them."""


def _figure(visit: Visit, title: str) -> Any:
    return visit.page.locator(".figure").filter(has_text=title).locator("dd")


def _heard(lines: Iterator[str]) -> dict[str, Any]:
    return next(json.loads(line[6:]) for line in lines if line.startswith("data: "))


def test_the_view_follows_what_the_server_does(live: Live, visit: Visit) -> None:
    visit.page.goto(f"{live.url}/#now")
    expect(_figure(visit, "Streams")).to_contain_text("0")
    for _ in range(3):
        live.infer("lora", "hello", max_tokens=8, ignore_eos=True)
    live.post("/v1/infer", task="nothing", input="hello")
    expect(_figure(visit, "First token").locator("small")).to_contain_text("ms")
    expect(visit.page.get_by_role("region", name="In slots")).to_contain_text("lora")
    errors = visit.page.get_by_role("region", name="Last errors")
    expect(errors).to_contain_text("404 task_not_found")
    expect(errors).not_to_contain_text("nothing")
    expect(visit.page.locator(".chart canvas")).to_have_count(2)
    step = visit.page.get_by_role("region", name="A step's time")
    shares = step.get_by_role("definition").filter(has_text="%")
    expect(shares).to_have_count(5)
    expect(step).to_contain_text("Before its first step a request waited")


def test_a_step_s_parts_are_all_of_it(live: Live) -> None:
    with live.http.stream("GET", "/v1/events") as events:
        lines = events.iter_lines()
        before = _heard(lines)
        began = time.monotonic()
        with slowed(live.engine):
            live.infer("lora", "hello", max_tokens=STEPS, ignore_eos=True)
            live.settle()
        elapsed = time.monotonic() - began
        after = next(each for each in iter(lambda: _heard(lines), None) if _grown(before, each))
    grown = _grown(before, after)
    assert grown["steps"] == STEPS
    parts = [grown[name] for name in ("schedule", "forward", "choose", "deliver")]
    assert min(parts) > 0
    assert grown["forward"] >= STEPS * SLOW
    # The first step reads the prompt and no other does.
    assert SLOW <= grown["prompts"] <= grown["forward"] - (STEPS - 1) * SLOW
    assert sum(parts) <= elapsed
    assert after["queue"]["started"] == before["queue"]["started"] + 1


def _grown(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What steps took between two snapshots, nothing until all are there."""
    grown = {name: value - before["step"][name] for name, value in after["step"].items()}
    return grown if grown["steps"] >= STEPS else {}


def test_listeners_hear_the_same_and_cost_nothing_when_they_leave(live: Live) -> None:
    held = live.server.config.app.state.snapshots
    with ExitStack() as stack:
        streams = [
            stack.enter_context(live.http.stream("GET", "/v1/events")).iter_lines()
            for _ in range(2)
        ]
        for lines in streams:
            _heard(lines)
        first, second = (_heard(lines) for lines in streams)
        # One may have been heard by whoever came before.
        while first["time"] != second["time"]:
            if first["time"] < second["time"]:
                first = _heard(streams[0])
            else:
                second = _heard(streams[1])
        assert first == second
        tokens = first["tokens"]
        live.infer("lora", "hello", max_tokens=8, ignore_eos=True)
        wait_until(lambda: _heard(streams[0])["tokens"] == tokens + 8)
    wait_until(lambda: held._listeners == 0)
    wait_until(lambda: held._coming.done())


def test_more_listeners_than_there_may_be_are_refused(live: Live, monkeypatch: Any) -> None:
    monkeypatch.setattr(snapshots, "_MOST_LISTENERS", 1)
    with live.http.stream("GET", "/v1/events") as first:
        lines = first.iter_lines()
        _heard(lines)
        refused = live.http.get("/v1/events")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
