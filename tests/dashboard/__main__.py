"""`make dashboard`: has a Prometheus scrape a server under load, and asks what Grafana would."""

import json
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from deltas.formats import native
from polydelta_client import Polydelta
from server.bench.process import free_port, serving
from tests import samples
from tests.dashboard.queries import Query, queries
from tests.soak.served import Served, tiny_server

_FLAGS = (
    "--dtype",
    "float32",
    "--kv-cache-gb",
    "0.005",
    "--max-deltas",
    "1",
    "--host-cache-gb",
    "0",
)
_SECONDS = 20
_QUIET = {"Ends that are not stop or length"}
"""Panels that show nothing as long as all goes well."""


def main(prometheus: str) -> int:
    """Print what each query gives; the exit code is 1 if one fails or gives nothing."""
    with tiny_server(_FLAGS) as served, tempfile.TemporaryDirectory() as folder:
        port = free_port()
        with serving(_command(prometheus, served, Path(folder), port), port, "/-/ready") as url:
            _ask(served, Path(folder))
            results = {query: _result(url, query) for query in queries()}
    for query, found in results.items():
        sys.stdout.write(f"{query.panel}: {query.expression}\n    {found}\n")
    empty = [query for query, found in results.items() if not found and query.panel not in _QUIET]
    sys.stdout.write(f"{len(results)} queries, {len(empty)} without a value\n")
    return 1 if empty else 0


def _command(prometheus: str, served: Served, folder: Path, port: int) -> list[str]:
    target = served.url.removeprefix("http://")
    scrape = {"job_name": "polydelta", "static_configs": [{"targets": [target]}]}
    config = folder / "prometheus.yml"
    # JSON is YAML.
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
    return [
        prometheus,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]


def _ask(served: Served, folder: Path) -> None:
    """Keep the server busy for long enough to be scraped."""
    with Polydelta(served.url) as client:
        for seed, name in enumerate(("one", "two")):
            native.write(
                samples.generator("lora", served.base, seed=seed), folder / name, served.base
            )
            client.tasks.put(name, folder / name)
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            client.infer_many([("one", "hello " * 40), ("two", "hello"), ("base", "hello " * 40)])


def _result(url: str, query: Query) -> list[float]:
    """The values that a query gives; raises if Prometheus does not take it."""
    parameters = {"query": query.over("15s")}
    response = httpx2.get(f"{url}/api/v1/query", params=parameters)
    response.raise_for_status()
    values = [float(series["value"][1]) for series in response.json()["data"]["result"]]
    return [value for value in values if value == value]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
