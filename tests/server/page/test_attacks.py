"""Whatever others wrote is text on the page, however much it looks like markup."""

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests import samples
from tests.server.api.live import Live
from tests.server.page.conftest import Visit

ATTACK = """<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>"""
JSON = {"content-type": "application/json"}


def _unharmed(visit: Visit) -> None:
    expect(visit.page.locator("img[src=x], main script")).to_have_count(0)
    assert visit.page.title() == "Polydelta"


def test_labels_cards_and_entities_are_text(live: Live, visit: Visit) -> None:
    folder = live.write("attack", samples.classifier(live.spec, (ATTACK, "other")))
    config = json.loads((folder / "delta.json").read_text())
    row = {"held_out": ATTACK, "measure": ATTACK, "examples": ATTACK, "delta": 1.0}
    card = {"data": ATTACK, "held_out": [row, ATTACK], ATTACK: ATTACK}
    (folder / "delta.json").write_text(json.dumps(config | {"card": card}))
    live.http.put("/v1/tasks/attack", json={"source": folder.as_uri()}).raise_for_status()
    visit.page.goto(f"{live.url}/#tasks/attack")
    expect(visit.page.get_by_text(ATTACK).first).to_be_visible()
    expect(visit.page.get_by_role("table", name="Scores")).to_contain_text(ATTACK)
    _unharmed(visit)
    visit.page.get_by_role("link", name="Try").click()
    visit.page.get_by_role("checkbox", name="attack").check()
    visit.page.get_by_label("Input").fill(ATTACK)
    visit.page.keyboard.press("Control+Enter")
    answer = visit.page.get_by_role("article", name="attack")
    expect(answer.get_by_role("listitem").filter(has_text=ATTACK)).to_be_visible()
    _unharmed(visit)
    visit.page.get_by_role("button", name="Copy as code: attack").click()
    expect(visit.page.get_by_role("dialog").locator("code")).to_contain_text("<script>")
    _unharmed(visit)


def _task(body: dict) -> dict:
    return body | {"id": ATTACK, "kind": ATTACK, "kinds": [ATTACK], "warnings": [ATTACK]}


def _all_tasks(body: dict) -> dict:
    return {"tasks": [_task(each) for each in body["tasks"]]}


# A server that lies gets no further: what it would have to say, the real one refuses.
@pytest.mark.parametrize("place", ["try", "tasks"])
def test_names_are_text_even_from_a_server_that_lies(live: Live, visit: Visit, place: str) -> None:
    _forge(visit, "**/v1/tasks", _all_tasks)
    visit.page.goto(f"{live.url}/#{place}")
    expect(visit.page.get_by_text(ATTACK).first).to_be_visible()
    _unharmed(visit)


def test_errors_are_text(live: Live, visit: Visit) -> None:
    refusal = json.dumps({"error": {"message": ATTACK, "code": ATTACK}})
    visit.page.route(
        "**/v1/infer", lambda route: route.fulfill(status=400, body=refusal, headers=JSON)
    )
    visit.page.goto(live.url)
    visit.page.get_by_role("button", name="Ask").click()
    expect(visit.page.get_by_role("alert").first).to_have_text(ATTACK)
    _unharmed(visit)


def _forge(visit: Visit, url: str, change: Callable[[dict], dict]) -> None:
    """Have the page read something else than the server said."""

    def forge(route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=json.dumps(change(answer.json())))

    visit.page.route(url, forge)
