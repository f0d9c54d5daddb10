"""The page of a server that wants keys: it asks for one, and shows what that one is good for."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from typer.testing import CliRunner

from server.cli.key import app
from tests import samples
from tests.server.api.live import Live, serving, wait_until
from tests.server.page.conftest import LABELS, Visit

SCOPES = ("infer", "read", "write", "admin", "infer,read")
CHANGES = ("Remove", "Go back: version 1", "Choose a folder")


def _polydelta(live: Live, *arguments: str) -> str:
    store = ["--store", str(live.folder / "store")]
    return CliRunner().invoke(app, [*arguments, *store], catch_exceptions=False).stdout


def _add(live: Live, name: str, *options: str) -> str:
    """A key that the server knows."""
    key = _polydelta(live, "add", name, *options).strip()
    wait_until(lambda: _known(live, key))
    return key


# Asking for a key that is not known yet would count as trying keys.
def _known(live: Live, key: str) -> bool:
    return live.engine.registry.access.keys.find(key) is not None


@pytest.fixture(scope="module")
def keyed(decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with serving(decoder, tmp_path_factory.mktemp("keyed"), drain_timeout=0) as server:
        for seed in (1, 2):
            server.add("spam", samples.classifier(server.spec, LABELS, seed=seed))
        everybody = server.http.get("/v1/keys/self").json()
        assert everybody == {
            "name": None,
            "tenant": "",
            "scopes": ["infer", "read", "write", "admin"],
            "expires": None,
        }
        yield server


@pytest.fixture(scope="module")
def keys(keyed: Live) -> dict[str, str]:
    """A key of each scope, and one of a tenant."""
    made = {each: _add(keyed, each.replace(",", "-"), "--scopes", each) for each in SCOPES}
    return made | {"tenant": _add(keyed, "app", "--tenant", "acme", "--scopes", "admin")}


def _dialog(visit: Visit) -> Locator:
    return visit.page.get_by_role("dialog", name="This server wants an API key")


def _enter(visit: Visit, key: str) -> None:
    _dialog(visit).get_by_label("API key").fill(key)
    visit.page.keyboard.press("Enter")


def _open(visit: Visit, keyed: Live, key: str, place: str) -> None:
    visit.page.goto(f"{keyed.url}/#{place}")
    _enter(visit, key)
    expect(visit.page.get_by_role("button", name="Key", exact=True)).to_be_visible()


def _views(visit: Visit) -> list[str]:
    return visit.page.get_by_role("navigation").get_by_role("link").all_inner_texts()


def test_a_key_is_asked_for_until_one_is_right(
    keyed: Live, keys: dict[str, str], visit: Visit
) -> None:
    visit.page.goto(keyed.url)
    expect(_dialog(visit)).to_contain_text("This server wants an API key: send it")
    _enter(visit, keys["admin"] + "x")
    expect(_dialog(visit)).to_contain_text("This API key is not, or no longer, known here.")
    _enter(visit, keys["admin"])
    expect(_dialog(visit)).to_be_hidden()
    assert _views(visit) == ["Try", "Tasks", "Now"]
    # The list may come later than the views.
    visit.page.get_by_role("button", name="Ask").click()
    expect(visit.page.locator(".verdict")).to_be_visible()
    stored = "[Object.values(sessionStorage), localStorage.length, document.cookie]"
    assert visit.page.evaluate(stored) == [[keys["admin"]], 0, ""]
    assert keys["admin"] not in " ".join(visit.asked)
    visit.page.reload()
    expect(visit.page.get_by_role("article")).to_have_count(2)
    expect(_dialog(visit)).to_be_hidden()


def test_a_revoked_key_is_said_to_be_so_and_another_one_goes_on(
    keyed: Live, keys: dict[str, str], visit: Visit
) -> None:
    key = _add(keyed, "leaver", "--scopes", "admin")
    _open(visit, keyed, key, "try")
    visit.page.get_by_label("Input").fill("typed before")
    _polydelta(keyed, "revoke", "leaver")
    wait_until(lambda: not _known(keyed, key))
    visit.page.keyboard.press("Control+Enter")
    expect(_dialog(visit)).to_contain_text("This API key is not, or no longer, known here.")
    _enter(visit, keys["infer"])
    expect(_dialog(visit)).to_be_hidden()
    assert visit.page.get_by_label("Input").input_value() == "typed before"


def test_now_listens_with_a_key(keyed: Live, keys: dict[str, str], visit: Visit) -> None:
    _open(visit, keyed, keys["read"], "now")
    expect(visit.page.locator(".figure").filter(has_text="Streams")).to_be_visible()


@pytest.mark.parametrize(
    ("scope", "views"),
    [
        ("infer", ["Try"]),
        ("read", ["Try", "Tasks", "Now"]),
        ("write", ["Try", "Tasks"]),
        ("infer,read", ["Try", "Tasks", "Now"]),
        ("tenant", ["Try", "Tasks"]),
    ],
)
def test_views_are_those_that_a_key_is_good_for(
    keyed: Live, keys: dict[str, str], visit: Visit, scope: str, views: list[str]
) -> None:
    _open(visit, keyed, keys[scope], "try")
    assert _views(visit) == views
    if scope in ("read", "write"):
        expect(visit.page.get_by_text("This key asks no task")).to_be_visible()
        expect(visit.page.get_by_role("button", name="Ask")).to_be_hidden()
    else:
        # The list may come later than the views.
        visit.page.get_by_role("button", name="Ask").click()
        expect(visit.page.locator(".verdict")).to_be_visible()


@pytest.mark.parametrize("scope", ["read", "infer,read", "admin"])
def test_only_keys_that_write_are_offered_changes(
    keyed: Live, keys: dict[str, str], visit: Visit, scope: str
) -> None:
    _open(visit, keyed, keys[scope], "tasks/spam")
    expect(visit.page.get_by_role("heading", name="spam")).to_be_visible()
    offered = scope == "admin"
    for change in CHANGES:
        expect(visit.page.get_by_role("button", name=change)).to_be_visible(visible=offered)
    sharing = visit.page.get_by_text("Share requests among versions")
    expect(sharing).to_be_visible(visible=offered)


def test_a_tenant_s_key_changes_its_own_tasks_alone(
    keyed: Live, keys: dict[str, str], visit: Visit
) -> None:
    own = keyed.write("own", samples.classifier(keyed.spec, LABELS, seed=4))
    _open(visit, keyed, keys["tenant"], "tasks/spam")
    expect(visit.page.get_by_text("your key cannot change it")).to_be_visible()
    for change in ("Remove", "Go back: version 1"):
        expect(visit.page.get_by_role("button", name=change)).to_be_hidden()
    visit.page.locator("input[webkitdirectory]").set_input_files(own)
    visit.page.get_by_label("Task", exact=True).fill("spam")
    # It is no new version of the shared task, which goes on beside it.
    expect(visit.page.get_by_text("a new version")).to_be_hidden()
    visit.page.get_by_role("button", name="Upload", exact=True).click()
    expect(visit.page.get_by_text("Taken: version 1 answers")).to_be_visible()
    expect(visit.page.get_by_role("button", name="Remove")).to_be_visible()
    expect(visit.page.get_by_text("your key cannot change it")).to_be_hidden()


def test_a_key_that_only_writes_uploads(keyed: Live, keys: dict[str, str], visit: Visit) -> None:
    _open(visit, keyed, keys["write"], "tasks")
    sound = keyed.write("uploaded", samples.classifier(keyed.spec, LABELS, seed=3))
    visit.page.locator("input[webkitdirectory]").set_input_files(sound)
    visit.page.get_by_role("button", name="Upload", exact=True).click()
    expect(visit.page.get_by_text("Taken: version 1 answers")).to_be_visible()


def test_copied_code_takes_the_key_from_the_environment(
    keyed: Live, keys: dict[str, str], visit: Visit
) -> None:
    _open(visit, keyed, keys["infer"], "try")
    visit.page.get_by_role("button", name="Copy as code: spam").click()
    code = visit.page.get_by_role("dialog").locator("code")
    environment = {"PATH": "/usr/bin:/bin", "POLYDELTA_API_KEY": keys["infer"]}
    command = ["bash", "-c", code.inner_text()]
    answer = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert '"label"' in answer.stdout
    visit.page.keyboard.press("Escape")
    visit.page.get_by_role("button", name="Copy as code: base").click()
    visit.page.get_by_role("button", name="openai", exact=True).click()
    expect(code).to_contain_text('api_key=os.environ["POLYDELTA_API_KEY"]')
