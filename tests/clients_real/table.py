"""The table of docs/clients.md: what each client's tests found of each thing that it does."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

CELLS = {
    "chat": "chat",
    "stream": "stream",
    "usage": "usage",
    "n": "n",
    "logprobs": "logprobs",
    "tools": "tools",
    "streamed_tools": "streamed tools",
    "json_schema": "json_schema",
    "parse": "`.parse()`",
    "responses": "responses",
    "embeddings": "embeddings",
    "cancel": "cancel",
    "errors": "error classes",
}
CLIENTS = {
    "try_openai": "openai",
    "try_langchain_openai": "langchain-openai",
    "try_litellm": "litellm",
    "try_huggingface": "huggingface_hub",
    "try_instructor": "instructor",
    "try_pydantic_ai": "pydantic-ai-slim",
    "try_llama_index": "llama-index-llms-openai-like",
    "try_dspy": "dspy",
    "try_haystack": "haystack-ai",
    "try_ai_sdk": "ai",
}
"""The package that each file of tests is of."""


_PAGE = """\
# Clients

What each client does with a server whose base URL it is given, and nothing else. `make clients`
installs them, each at the release that is named here, lets them do it (`tests/clients_real`) and
writes this page. A dash: the client does not do that, or not by itself.

"""
_NOTES = "\nWhat their users should know:\n\n"


def page(report: Path, versions: Mapping[str, str]) -> str:
    """docs/clients.md by a report in JUnit's form; `versions` are those of the packages."""
    found: dict[str, dict[str, bool]] = defaultdict(dict)
    for module, cell, passed in _cases(report):
        found[module][cell] = passed and found[module].get(cell, True)
    lines = [["client", *CELLS.values()], ["---"] * (len(CELLS) + 1)]
    for module, client in CLIENTS.items():
        if module in found:
            marks = (_mark(found[module].get(cell)) for cell in CELLS)
            lines.append([f"{client} {versions[client]}", *marks])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = "".join(
        f"- {CLIENTS[module]}, {cell}: {text}\n" for module, cell, text in _notes(report)
    )
    return _PAGE + table + (_NOTES + notes if notes else "")


def _notes(report: Path) -> Iterator[tuple[str, str, str]]:
    """What tests have recorded beside their outcome: module, cell and text."""
    for case in ET.parse(report).iter("testcase"):
        for noted in case.iter("property"):
            if noted.attrib["name"] == "note":
                module, cell = _place(case)
                yield module, CELLS[cell], noted.attrib["value"]


def _cases(report: Path) -> Iterator[tuple[str, str, bool]]:
    for case in ET.parse(report).iter("testcase"):
        outcomes = {child.tag for child in case}
        if "skipped" not in outcomes:
            module, cell = _place(case)
            yield module, cell, not outcomes & {"failure", "error"}


def _place(case: ET.Element) -> tuple[str, str]:
    cell = case.attrib["name"].partition("[")[0].removeprefix("test_")
    return case.attrib["classname"].rpartition(".")[2], cell


def _mark(passed: bool | None) -> str:
    return "-" if passed is None else "yes" if passed else "no"
