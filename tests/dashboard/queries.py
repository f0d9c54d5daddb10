"""The queries of the dashboard's panels."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

DASHBOARD = Path(__file__).parents[2] / "ops" / "grafana-dashboard.json"

_METRIC = re.compile(r"\b(?:vllm:|polydelta_)\w+")


@dataclass(frozen=True)
class Query:
    """What a panel asks."""

    panel: str
    expression: str

    @property
    def metrics(self) -> set[str]:
        """The names of the samples that it reads."""
        return set(_METRIC.findall(self.expression))

    def over(self, interval: str) -> str:
        """The expression as Grafana sends it."""
        return self.expression.replace("$__rate_interval", interval)


def queries() -> list[Query]:
    """All of them, in order."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [
        Query(panel["title"], target["expr"])
        for panel in panels
        for target in panel.get("targets", ())
    ]
