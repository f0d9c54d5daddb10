"""What is in the environment for sources is in no answer and in no line of the log."""

import logging
from pathlib import Path

import pytest

from tests import samples
from tests.file_server import serving_files
from tests.hub_server import HubServer
from tests.server.api.live import serving

HUB, AMAZON, AZURE = "hf_seen_by_nobody", "aws/seen+by/nobody", "c2VlbiBieSBub2JvZHk="


def test_no_answer_and_no_line_of_the_log_tells_a_secret(
    decoder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving_files() as files, serving_files() as elsewhere:
        for name, value in {
            "HF_ENDPOINT": files.url,
            "HF_TOKEN": HUB,
            "AWS_ENDPOINT_URL": files.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": AMAZON,
            "AWS_REGION": "eu-west-1",
            "AZURE_STORAGE_ACCOUNT_NAME": "someone",
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE,
            "AZURE_STORAGE_ENDPOINT": files.url,
        }.items():
            monkeypatch.setenv(name, value)
        allowed = ["hf://org/*", "s3://bucket/*", "az://bucket/*"]
        options = {"sources": allowed, "private_sources": True, "resolve": "hf://org/{task}"}
        with serving(decoder, tmp_path, **options) as live:
            folder = live.write("delta", samples.generator("lora", live.spec))
            HubServer(files, elsewhere, HUB).add("org/there", folder)
            files.put("/bucket/there", folder)
            files.special["/bucket/broken/delta.json"] = lambda handler: handler.answer(500)
            files.special["/bucket/closed/delta.json"] = lambda handler: handler.answer(403)
            answers = [
                live.http.put(f"/v1/tasks/t{at}", json={"source": source})
                for at, source in enumerate(
                    f"{scheme}/{place}"
                    for scheme in ("hf://org", "s3://bucket", "az://bucket")
                    for place in ("there", "absent", "broken", "closed")
                )
            ]
            assert [answer.status_code for answer in answers].count(201) == 3
            answers += [
                live.post("/v1/load_lora_adapter", lora_name="x", lora_path="s3://bucket/closed"),
                live.post("/v1/infer", task="nowhere", input="x"),
                live.http.get("/v1/tasks"),
                live.http.get("/v1/tasks/t0/versions"),
                live.http.get("/metrics"),
                live.http.get("/server_info"),
            ]
        shown = [f"{dict(answer.headers)} {answer.text}" for answer in answers]
    logged = [each.getMessage() for each in caplog.records]
    assert any("Fetched hf://org/there" in line for line in logged)
    assert any(HUB in each.headers.get("authorization", "") for each in files.asked)
    for secret in (HUB, AMAZON, AZURE):
        assert not any(secret in text for text in (*shown, *logged))
