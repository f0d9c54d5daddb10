"""The container files: linted by the real tools, their commands run on this machine."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import yaml

from server.cli.demo import BASES
from server.settings import Settings
from server.user_directories import user_cache
from tests.dockerfile import ROOT, Container, stages
from tests.ports import held_port
from tests.server.api.live import PATIENCE

BIN = Path(sys.executable).parent


@dataclass
class Image:
    """The final stage, set up: its container, its start command and its health check."""

    container: Container
    command: list[str]
    health: list[str]


@pytest.fixture(scope="module", params=["lent", pytest.param("fetched", marks=pytest.mark.long)])
def image(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Image]:
    """Follow every instruction of the build, and the final stage's but its RUN: it adds a user.

    What is pinned is fetched, and kernels are compiled for every instruction set. Or the tests' own
    packages and bases are lent: then every command runs as well, and pip finds each pin satisfied.
    """
    build, final = stages(ROOT / "Dockerfile")
    lent = request.param == "lent"
    container = Container(tmp_path_factory.mktemp("image"), {"TORCH_INDEX": ""})
    for instruction in build:
        container.follow(instruction)
        if lent and "-m venv" in instruction.value:
            container.lend()
    container = Container(container.root, {})
    for instruction in final:
        if instruction.name != "RUN":
            container.follow(instruction)
    if lent:
        container.environment["XDG_CACHE_HOME"] = str(user_cache().parent)
    value = {instruction.name: instruction.value for instruction in final}
    yield Image(
        container,
        json.loads(value["ENTRYPOINT"]) + json.loads(value["CMD"]),
        json.loads(value["HEALTHCHECK"].removeprefix("CMD ")),
    )
    shutil.rmtree(container.root)


@pytest.fixture
def started(image: Image) -> Iterator["subprocess.Popen[bytes]"]:
    """The container's process, listening on a free port of this machine alone."""
    with held_port() as port:
        image.container.environment |= {"POLYDELTA_HOST": "127.0.0.1", "POLYDELTA_PORT": str(port)}
        process = subprocess.Popen(
            image.command, cwd=image.container.directory, env=image.container.environment
        )
        yield process
        process.kill()
        process.wait()


def healthy(image: Image) -> bool:
    """Run the image's health check once."""
    check = subprocess.run(image.health, env=image.container.environment, stderr=subprocess.DEVNULL)
    return check.returncode == 0


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], check=True)


def test_the_compose_file_follows_the_compose_specification() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    subprocess.run([BIN / "check-jsonschema", *schema, ROOT / "docker-compose.yml"], check=True)


def test_compose_waits_longer_than_the_server_drains() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    grace = compose.split("stop_grace_period: ")[1].split("s\n")[0]
    assert int(grace) > Settings.model_fields["drain_timeout"].default


def started_by(command: str) -> set[str]:
    """The services that a `docker compose` command starts: those named, else those of a profile."""
    _, _, *words = shlex.split(command, comments=True)
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    at = words.index("up")
    profiles = {words[i + 1] for i, word in enumerate(words[:at]) if word == "--profile"}
    usual = {
        name
        for name, service in services.items()
        if not service.get("profiles") or profiles & set(service["profiles"])
    }
    return set(words[at + 1 :]) or usual


def test_each_command_of_the_readme_starts_one_service() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    commands = [line for line in lines if line.startswith("docker compose")]
    assert [started_by(command) for command in commands] == [{"cpu"}, {"gpu"}]
    header = (ROOT / "docker-compose.yml").read_text()
    assert all(shlex.join(shlex.split(command, comments=True)) in header for command in commands)


def test_the_final_image_runs_as_a_fixed_user_that_is_not_root() -> None:
    users = [step.value for step in stages(ROOT / "Dockerfile")[-1] if step.name == "USER"]
    assert [int(user) > 0 for user in users] == [True]


def test_the_image_names_the_demo_s_base_and_no_other(tmp_path: Path) -> None:
    container = Container(tmp_path, {})
    for instruction in stages(ROOT / "Dockerfile")[-1]:
        if instruction.name in ("ARG", "ENV"):
            container.follow(instruction)
    assert container.environment["POLYDELTA_DEMO_BASE"] in BASES
    assert "POLYDELTA_BASE" not in container.environment


@pytest.mark.timeout(1200)
def test_the_image_installs_starts_answers_and_drains(
    image: Image, started: "subprocess.Popen[bytes]"
) -> None:
    while not healthy(image):
        assert started.poll() is None, "the server ended while starting"
        time.sleep(0.5)
    reply = httpx2.post(
        f"http://127.0.0.1:{image.container.environment['POLYDELTA_PORT']}/v1/infer",
        json={"task": "base", "input": "The capital of France is", "parameters": {"max_tokens": 4}},
        timeout=PATIENCE,
    )
    assert reply.status_code == 200
    assert reply.json()["outputs"][0]["text"]
    started.send_signal(signal.SIGTERM)
    assert started.wait() == 0
