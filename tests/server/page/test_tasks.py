"""Tasks: the registry as a table, one task in detail, and what can be done to it."""

import json
from pathlib import Path

from playwright.sync_api import Route, expect

from tests import samples
from tests.server.api.live import Live
from tests.server.page.conftest import LABELS, Visit

MANY = 1000


def _open(visit: Visit, live: Live, task: str = "") -> None:
    visit.page.goto(f"{live.url}/#tasks/{task}")


def _upload(visit: Visit, folder: Path) -> None:
    visit.page.locator("input[webkitdirectory]").set_input_files(folder)


def _active(live: Live, task: str) -> int:
    versions = live.http.get(f"/v1/tasks/{task}/versions").json()["versions"]
    return next((each["number"] for each in versions if each["active"]), 0)


def test_the_table_says_of_each_task_what_the_server_says(live: Live, visit: Visit) -> None:
    _open(visit, live)
    row = visit.page.get_by_role("row", name="spam")
    task = live.http.get("/v1/tasks/spam").json()
    for said in ("labels", task["kind"], "v1", f"{task['requests']}"):
        expect(row.get_by_role("cell", name=said, exact=True)).to_be_visible()
    visit.page.get_by_role("button", name="Task").click()
    expect(visit.page.get_by_role("columnheader", name="Task")).to_have_attribute(
        "aria-sort", "descending"
    )
    expect(visit.page.get_by_role("rowheader").first).to_have_text("spam")


def test_what_failed_last_stands_beside_its_task(live: Live, visit: Visit) -> None:
    live.add("failing", samples.classifier(live.spec, LABELS))
    assert live.http.get("/v1/tasks/failing").json()["last_error"] is None
    refused = live.post("/v1/infer", task="failing", input="word " * 3000)
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    told = live.http.get("/v1/tasks/failing").json()
    assert told["last_error"]["code"] == "context_length_exceeded"
    assert told["last_error"]["version"] == told["version"]
    _open(visit, live)
    row = visit.page.get_by_role("row", name="failing")
    expect(row.get_by_role("cell", name="context_length_exceeded")).to_be_visible()
    row.get_by_role("link").click()
    facts = visit.page.get_by_role("region", name="failing")
    expect(facts).to_contain_text("context_length_exceeded")


def test_a_folder_is_served_and_a_damaged_one_is_not(live: Live, visit: Visit) -> None:
    sound = live.write("sound", samples.classifier(live.spec, LABELS, seed=3))
    _open(visit, live)
    _upload(visit, sound)
    expect(visit.page.get_by_label("Task", exact=True)).to_have_value("sound")
    visit.page.get_by_role("button", name="Upload", exact=True).click()
    expect(visit.page.get_by_text("Taken: version 1 answers")).to_be_visible()
    assert live.infer("sound", "hello")["task"] == "sound"
    config = json.loads((sound / "delta.json").read_text())
    (sound / "delta.json").write_text(json.dumps(config | {"labels": ["one"]}))
    _upload(visit, sound)
    expect(visit.page.get_by_text("a new version")).to_be_visible()
    visit.page.get_by_role("button", name="Upload", exact=True).click()
    expect(visit.page.get_by_role("alert")).to_contain_text("Refused: ")
    assert _active(live, "sound") == 1


def test_going_back_and_removing_can_be_undone(live: Live, visit: Visit) -> None:
    for seed in (1, 2):
        live.add("moving", samples.classifier(live.spec, LABELS, seed=seed))
    _open(visit, live, "moving")
    visit.page.get_by_role("button", name="Go back: version 1").click()
    expect(visit.page.get_by_text("moving answers with version 1.")).to_be_visible()
    assert _active(live, "moving") == 1
    visit.page.get_by_role("button", name="Undo").click()
    expect(visit.page.get_by_role("button", name="Go back: version 1")).to_be_visible()
    assert _active(live, "moving") == 2
    visit.page.get_by_role("button", name="Remove").click()
    expect(visit.page.get_by_text("There is no task moving now.")).to_be_visible()
    assert _active(live, "moving") == 0
    visit.page.get_by_role("button", name="Undo").click()
    expect(visit.page.get_by_text("moving is back.")).to_be_visible()
    assert _active(live, "moving") == 2


def test_versions_share_requests_by_sliders(live: Live, visit: Visit) -> None:
    for seed in (1, 2):
        live.add("shared", samples.classifier(live.spec, LABELS, seed=seed))
    _open(visit, live, "shared")
    visit.page.get_by_text("Share requests among versions").click()
    visit.page.get_by_role("slider", name="v1").fill("50")
    visit.page.get_by_role("slider", name="v2").fill("50")
    visit.page.get_by_role("button", name="Share", exact=True).click()
    expect(visit.page.get_by_role("button", name="One version alone")).to_be_visible()
    shares = live.http.get("/v1/tasks/shared/traffic").json()["versions"]
    assert [each["percent"] for each in shares] == [50, 50]
    visit.page.get_by_role("button", name="One version alone").click()
    expect(visit.page.get_by_role("button", name="One version alone")).to_be_hidden()


def test_a_card_shows_its_scores(live: Live, visit: Visit) -> None:
    scores = {"held_out": "mail.test", "measure": "accuracy", "examples": 9, "delta": 0.5}
    card = {"data": "Nine letters.", "held_out": [scores], "command": "train it"}
    folder = live.write("carded", samples.classifier(live.spec, LABELS))
    config = json.loads((folder / "delta.json").read_text())
    (folder / "delta.json").write_text(json.dumps(config | {"card": card}))
    live.http.put("/v1/tasks/carded", json={"source": folder.as_uri()}).raise_for_status()
    assert live.http.get("/v1/tasks/carded/card").json()["card"] == card
    assert live.http.get("/v1/tasks/base/card").json()["card"] == {}
    _open(visit, live, "carded")
    expect(visit.page.get_by_text("Nine letters.")).to_be_visible()
    expect(visit.page.get_by_role("row", name="mail.test").get_by_role("cell").first).to_have_text(
        "0.500"
    )


def test_many_tasks_are_a_few_rows_at_a_time(live: Live, visit: Visit) -> None:
    _many(visit)
    _open(visit, live)
    expect(visit.page.get_by_text(f"{MANY:,} tasks", exact=True)).to_be_visible()
    visit.page.get_by_role("link", name="task-000").focus()
    for _ in range(MANY // 10):
        visit.page.keyboard.press("PageDown")
    expect(visit.page.get_by_role("link", name=f"task-{MANY - 1}")).to_be_focused()
    assert visit.page.get_by_role("row").count() < 100
    visit.page.get_by_role("button", name="Task").click()
    visit.page.locator(".rows").evaluate("each => each.scrollTo(0, 0)")
    expect(visit.page.get_by_role("rowheader").first).to_have_text(f"task-{MANY - 1}")
    visit.page.get_by_role("searchbox").fill("task-15")
    expect(visit.page.get_by_text(f"10 of {MANY:,} tasks", exact=True)).to_be_visible()
    visit.page.keyboard.press("Tab")
    expect(visit.page.get_by_role("row")).to_have_count(11)


def _many(visit: Visit) -> None:
    """Have the page hear of one task under so many names: to register them all takes minutes."""

    def multiply(route: Route) -> None:
        answer = route.fetch()
        (task, *_) = answer.json()["tasks"]
        tasks = [task | {"id": f"task-{number:03}"} for number in range(MANY)]
        route.fulfill(response=answer, json={"tasks": tasks})

    visit.page.route("**/v1/tasks", multiply)
