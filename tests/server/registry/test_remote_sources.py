"""Sources elsewhere: over real sockets, from servers of ours that are honest, broken or hostile."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from deltas.base import BaseSpec
from deltas.errors import InvalidDelta
from server.errors import InvalidRequest, SourceUnavailable
from server.registry.registry import Registry
from tests.file_server import (
    Asked,
    FileServer,
    Handler,
    redirect,
    serving_files,
)
from tests.hub_server import COMMIT, HubServer
from tests.server.registry.fetching import bring
from tests.server.registry.prompts import write_prompt
from tests.signatures import is_signed

TOKEN = "hf_a_token_that_nobody_sees"


@pytest.fixture(autouse=True)
def _no_token_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert not any(TOKEN in each.getMessage() for each in caplog.get_records("call"))


@pytest.fixture
def folder(base: BaseSpec, tmp_path: Path) -> Path:
    return write_prompt(tmp_path / "delta", base, 7)


@pytest.fixture
def hub(
    web: FileServer, storage: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> HubServer:
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub = HubServer(web, storage, TOKEN)
    hub.add("my-org/spam", folder)
    hub.add("my-org/many", folder, "tasks/spam/")
    return hub


def test_a_directory_on_the_web_is_found_by_the_names_of_its_files(
    registry: Registry, web: FileServer, folder: Path
) -> None:
    address = web.put("/deltas/spam", folder)
    assert bring(registry, address) == 7
    assert bring(registry, f"{address}delta.safetensors") == 7
    assert all(each.headers["accept-encoding"] == "identity" for each in web.asked)


@pytest.mark.parametrize(
    "source", ["hf://my-org/spam", "hf://my-org/spam@v1", f"hf://my-org/many@{COMMIT}/tasks/spam"]
)
def test_repositories_of_a_hub_are_read_at_one_commit(
    registry: Registry, hub: HubServer, web: FileServer, storage: FileServer, source: str
) -> None:
    assert bring(registry, source) == 7
    assert all(COMMIT in each.path for each in web.asked_for(".json"))
    # The token goes to the hub and not to where that leads.
    assert {each.headers.get("authorization") for each in web.asked} == {f"Bearer {TOKEN}"}
    assert {each.headers.get("authorization") for each in storage.asked} == {None}


def test_the_hub_of_these_tests_speaks_as_its_own_library_expects(
    hub: HubServer, web: FileServer, folder: Path
) -> None:
    with serving_files() as plain:
        HubServer(plain, plain).add("my-org/spam", folder)
        api = HfApi(plain.url, token=False)
        assert api.model_info("my-org/spam", revision="main", expand=["sha"]).sha == COMMIT
        files = api.get_paths_info("my-org/spam", ["delta.safetensors"], revision=COMMIT)
        assert files[0].lfs is not None


def test_what_the_hub_does_not_show_is_told(
    registry: Registry, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidRequest, match="HF_TOKEN"):
        bring(registry, "hf://my-org/nothing")
    with pytest.raises(InvalidRequest, match="No delta was found"):
        bring(registry, "hf://my-org/spam/elsewhere")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InvalidRequest, match="HF_TOKEN") as caught:
        bring(registry, "hf://my-org/spam")
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_object_stores_are_asked_as_the_environment_says(
    registry: Registry, folder: Path, scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with serving_files() as store:
        account = {"gcs_base_url": store.url, "disable_oauth": True}
        account |= {"client_email": "", "private_key": "", "private_key_id": ""}
        (tmp_path / "account.json").write_text(json.dumps(account))
        for name, value in {
            "AWS_ENDPOINT_URL": store.url,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": TOKEN,
            "AWS_REGION": "eu-west-1",
            "GOOGLE_SERVICE_ACCOUNT": str(tmp_path / "account.json"),
            "AZURE_STORAGE_ACCOUNT_NAME": "someone",
            "AZURE_STORAGE_ACCOUNT_KEY": "c29tZXRoaW5n",
            "AZURE_STORAGE_ENDPOINT": store.url,
        }.items():
            monkeypatch.setenv(name, value)
        store.put("/bucket/deltas/spam", folder)
        # The connection is cut once: it goes on with the same object.
        store.cuts["/bucket/deltas/spam/delta.safetensors"] = [100]
        assert bring(registry, f"{scheme}://bucket/deltas/spam") == 7
        later = store.asked_for(".safetensors")[-1].headers
        assert later["range"].startswith("bytes=100-")
        assert "if-match" in later
        # Google's account of these tests asks for nothing to be signed.
        assert ("authorization" in later) is (scheme != "gs")
        if scheme == "s3":
            assert all(is_signed(each, "someone", TOKEN, "eu-west-1") for each in store.asked)
            assert not is_signed(store.asked[0], "someone", f"{TOKEN}x", "eu-west-1")
        with pytest.raises(InvalidRequest, match="No delta was found"):
            bring(registry, f"{scheme}://bucket/elsewhere")
        with pytest.raises(SourceUnavailable, match="--private-sources") as caught:
            bring(registry, f"{scheme}://bucket/deltas/spam", private=False)
        assert TOKEN not in str(caught.value)


def test_signatures_are_judged_as_amazon_documents_them() -> None:
    # The example of "Authenticating Requests: Using the Authorization Header", GET Object.
    signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-amz-date": "20130524T000000Z",
        "authorization": "AWS4-HMAC-SHA256 "
        "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        f"Signature={signature}",
    }
    asked = Asked("GET", "/test.txt", headers, b"")
    who, secret = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert is_signed(asked, who, secret, "us-east-1")
    other = Asked("GET", "/other.txt", headers, b"")
    assert not is_signed(other, who, secret, "us-east-1")


def test_a_cut_file_goes_on_where_it_ended(
    registry: Registry, web: FileServer, folder: Path
) -> None:
    address = web.put("/spam", folder)
    web.cuts["/spam/delta.safetensors"] = [50, 60, 0, 10]
    assert bring(registry, address) == 7
    ranges = [each.headers.get("range") for each in web.asked_for(".safetensors")]
    assert ranges == [None, "bytes=50-", "bytes=110-", "bytes=110-", "bytes=120-"]


def test_halves_of_two_files_are_never_put_together(
    registry: Registry, web: FileServer, folder: Path, base: BaseSpec, tmp_path: Path
) -> None:
    address = web.put("/spam", folder)
    web.cuts["/spam/delta.safetensors"] = [50]
    other = write_prompt(tmp_path / "other", base, 8) / "delta.safetensors"

    def changed(handler: Handler) -> None:
        del web.special["/spam/delta.safetensors"]
        handler._file("/spam/delta.safetensors", web.files["/spam/delta.safetensors"])
        web.files["/spam/delta.safetensors"] = other.read_bytes()

    web.special["/spam/delta.safetensors"] = changed
    with pytest.raises(SourceUnavailable, match="changed"):
        bring(registry, address)


def test_without_a_tag_a_cut_file_is_given_up(
    registry: Registry, web: FileServer, folder: Path
) -> None:
    address = web.put("/spam", folder)
    web.tagged = False
    web.cuts["/spam/delta.safetensors"] = [50]
    with pytest.raises(SourceUnavailable, match="could not be fetched"):
        bring(registry, address)
    assert bring(registry, address) == 7


def test_a_file_other_than_its_digest_is_refused(
    registry: Registry, hub: HubServer, storage: FileServer
) -> None:
    path = "/my-org/spam/delta.safetensors"
    storage.files[path] = storage.files[path][:-1] + b"\xff"
    with pytest.raises(InvalidDelta, match="sha256"):
        bring(registry, "hf://my-org/spam")


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "http://127.0.0.1:1/",
        "https://127.0.0.1:1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://169.254.169.254/latest/meta-data/",
        "https://0x7f.1/x",
        "https://2130706433/x",
        "https://someone:secret@localhost/x",
        "gopher://localhost/",
        "https://[",
        "",
    ],
)
def test_redirects_lead_to_no_place_of_one_s_own(
    registry: Registry, web: FileServer, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This machine counts as public until it has answered once.
    monkeypatch.setattr(
        "server.registry.sources.network.is_public",
        lambda address: not web.asked,
    )
    web.special["/spam/delta.json"] = redirect(target)
    with pytest.raises((InvalidRequest, SourceUnavailable)) as caught:
        bring(registry, f"{web.url}/spam/", private=False)
    assert "secret" not in str(caught.value)


def test_names_that_stand_for_this_machine_are_refused(registry: Registry, web: FileServer) -> None:
    with pytest.raises(InvalidRequest, match="no public address"):
        bring(registry, f"{web.url}/spam/", private=False)
    with pytest.raises(InvalidRequest, match="only https"):
        bring(registry, "http://example.org/spam/", private=False)
    assert web.asked == []


def test_a_certificate_that_is_not_trusted_is_told(
    registry: Registry, web: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    with pytest.raises(SourceUnavailable, match="certificate"):
        bring(registry, f"{web.url}/spam/")


def test_no_token_is_in_any_line_of_the_log(
    registry: Registry, hub: HubServer, web: FileServer, caplog: pytest.LogCaptureFixture
) -> None:
    bring(registry, "hf://my-org/spam")
    web.special[f"/my-org/spam/resolve/{COMMIT}/delta.json"] = lambda handler: handler.answer(500)
    with pytest.raises(SourceUnavailable) as caught:
        bring(registry, "hf://my-org/spam")
    assert TOKEN not in caplog.text + str(caught.value)
    assert "Fetched hf://my-org/spam" in caplog.text
