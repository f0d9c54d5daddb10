"""Templates of tasks that nobody has put: what could never work is told before anything starts."""

import pytest

from server.build import build_engine
from server.errors import InvalidSettings
from server.registry.sources.template import check_template
from server.settings import Settings


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("https://host/deltas/{task}", r"write https://host/deltas/\{task\}/\."),
        ("http://host/{task}", r"write http://host/\{task\}/\."),
        ("http://host/{task}/", "--private-sources"),
        ("ftp://host/{task}/", "hf://OWNER/NAME"),
        ("https://user:secret@host/{task}/", "first part is no name"),
        ("https://host/{task}/?token=x/", "without a query"),
        ("s3://bucket/../{task}", "'..'"),
        ("hf://{task}/lora", r"as in hf://OWNER/\{task\}"),
        ("https://{task}/lora/", "from whose host"),
        ("s3://{task}", "bucket"),
        ("file://elsewhere/{task}", "'file' sources"),
    ],
)
def test_what_could_find_nothing_is_refused_with_the_right_form(template: str, told: str) -> None:
    with pytest.raises(InvalidSettings, match=told):
        check_template(template, private=False)


@pytest.mark.parametrize(
    "template",
    [
        "hf://owner/{task}",
        "hf://owner/many@v1/{task}",
        "s3://bucket/{task}",
        "gs://bucket/deltas/{task}/v1",
        "https://host/{task}/",
        "https://host/{task}/adapter_model.safetensors",
        "file:///deltas/{task}",
        "deltas/{task}",
    ],
)
def test_what_can_find_tasks_is_taken(template: str) -> None:
    check_template(template, private=False)


def test_it_is_told_before_the_base_is_looked_for() -> None:
    settings = Settings(base="/nowhere", resolve="http://host/{task}", private_sources=True)
    with pytest.raises(InvalidSettings, match=r"http://host/\{task\}/"):
        build_engine(settings)
