"""AWS Signature Version 4, checked as a store does: from its description, by no client's code."""

import hashlib
import hmac
import re
from urllib.parse import quote, unquote

from tests.file_server import Asked

_FORM = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<who>[^/]+)/(?P<scope>[^,]+), ?"
    r"SignedHeaders=(?P<signed>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)


def is_signed(asked: Asked, who: str, secret: str, region: str) -> bool:
    """Whether a request for an object of S3 carries the signature that it must have."""
    found = _FORM.fullmatch(asked.headers["authorization"])
    assert found is not None
    moment = asked.headers["x-amz-date"]
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    signed = found["signed"].split(";")
    # Who could leave the host out could send the request elsewhere.
    assert {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed)
    path, _, query = asked.path.partition("?")
    request = "\n".join(
        (
            asked.method,
            quote(unquote(path), safe="/"),
            "&".join(sorted(query.split("&"))),
            *(f"{name}:{asked.headers[name].strip()}" for name in signed),
            "",
            found["signed"],
            asked.headers["x-amz-content-sha256"],
        )
    )
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return (found["who"], found["scope"], found["signature"]) == (who, scope, signature)
