"""Tries a release as a new user would: `python -m release.try_wheel FOLDER`.

Installs from the wheels into a new environment, in an empty folder and with no compiler on the
path, with each extra after the other, starts the demo, asks it, fetches its page, and prints what
each step took. What they need comes from the package index, at the versions of requirements.txt.
"""

import json
import os
import re
import signal
import subprocess
import sys
import venv
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from release.tree import ROOT, extras, version

_ADDRESS = re.compile(r"^(http://\S+)/$")


class Steps:
    """What was done, with the seconds that each took."""

    def __init__(self) -> None:
        self._since = monotonic()

    def done(self, what: str) -> None:
        """Print a step that ends now."""
        now = monotonic()
        sys.stdout.write(f"{now - self._since:7.1f} s  {what}\n")
        sys.stdout.flush()
        self._since = now


def main(dist: Path) -> None:
    """Go through all steps; raises an error at the first that fails."""
    steps = Steps()
    with TemporaryDirectory() as place:
        folder, installed = Path(place) / "empty", Path(place) / "env"
        folder.mkdir()
        venv.create(installed, with_pip=True)
        steps.done("a new environment")
        environment = _environment(Path(place), installed)
        for extra in ("", *extras()):
            before = _megabytes(installed)
            wanted = _install(dist, folder, environment, extra)
            steps.done(f"pip install {wanted}: {_megabytes(installed) - before:.1f} MB")
        _serve(folder, environment, steps)
        look = [installed / "bin" / "polydelta", "doctor", "--output", "json"]
        told = subprocess.check_output(look, cwd=folder, env=environment, text=True)
        found = json.loads(told)["machine"]
        steps.done(f"polydelta doctor: compiler {found['compiler']}, kernels {found['kernels']}")


def _serve(folder: Path, environment: dict[str, str], steps: Steps) -> None:
    command = ["polydelta", "demo", "--port", "0"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as server:
        url = _address(server)
        _wait(url)
        steps.done("polydelta demo, with its base fetched and converted, is ready")
        _ask(url)
        steps.done("an answer and the page")
        server.send_signal(signal.SIGTERM)
        server.communicate()


def _environment(home: Path, installed: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return kept | {"HOME": str(home), "PATH": str(installed / "bin")}


def _install(dist: Path, folder: Path, environment: dict[str, str], extra: str) -> str:
    """Install the server, or what an extra adds to it; the requirement."""
    locked = [ROOT / f"requirements{each}.txt" for each in ("", "-postgres", "-signatures")]
    constraints = [word for file in locked for word in ("--constraint", str(file))]
    command = ["pip", "install", "--quiet", "--find-links", str(dist.absolute()), *constraints]
    wanted = f"polydelta[{extra}]" if extra else "polydelta"
    subprocess.run([*command, f"{wanted}=={version()}"], cwd=folder, env=environment, check=True)
    return wanted


def _megabytes(folder: Path) -> float:
    return sum(file.lstat().st_size for file in folder.rglob("*")) / 1e6


def _address(server: "subprocess.Popen[str]") -> str:
    for line in server.stderr or ():
        if found := _ADDRESS.match(line):
            return found[1]
    raise SystemExit("The demo ended while it started.")


def _wait(url: str) -> None:
    """Wait until the server takes connections: it tells its address a little before."""
    until = monotonic() + 60
    while True:
        try:
            _fetch(url, "GET", "/health/ready", None)
        except ConnectionRefusedError:
            if monotonic() > until:
                raise
            sleep(0.1)
        else:
            return


def _ask(url: str) -> None:
    body = json.dumps({"task": "topic", "input": "The striker scored twice."})
    label = json.loads(_fetch(url, "POST", "/v1/infer", body))["outputs"][0]["label"]
    page = _fetch(url, "GET", "/", None)
    if label != "sport" or "page/js/app.js" not in page:
        raise SystemExit(f"The answer was {label}, the page {page[:200]}")


def _fetch(url: str, method: str, path: str, body: str | None) -> str:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
    kinds = {"content-type": "application/json", "accept": "text/html, application/json"}
    connection.request(method, path, body, kinds)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
