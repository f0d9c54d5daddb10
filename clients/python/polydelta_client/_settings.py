"""Where the server is and how to talk to it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import httpx2

from ._options import check_call
from ._version import __version__
from .inputs import CallOptions

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = httpx2.Timeout(600.0, connect=5.0)
DEFAULT_MAX_RETRIES = 2


@dataclass(frozen=True)
class Settings:
    """What both clients keep about their server."""

    base_url: str
    headers: Mapping[str, str]
    timeout: httpx2.Timeout
    max_retries: int

    @classmethod
    def resolve(
        cls,
        base_url: str | None,
        api_key: str | None,
        timeout: float | httpx2.Timeout | None,
        max_retries: int,
    ) -> Self:
        """Fill what the caller left out from the environment, then from the defaults."""
        url = base_url or os.environ.get("POLYDELTA_BASE_URL") or DEFAULT_BASE_URL
        headers = {"accept": "application/json", "user-agent": f"polydelta-client/{__version__}"}
        if key := api_key or os.environ.get("POLYDELTA_API_KEY"):
            headers["authorization"] = f"Bearer {key}"
        return cls(_checked(url.rstrip("/")), headers, httpx2.Timeout(timeout), max_retries)

    def over(self, options: CallOptions) -> Self:
        """These settings with the options of a call in their place."""
        check_call(options)
        timeout = httpx2.Timeout(options["timeout"]) if "timeout" in options else self.timeout
        # Names of headers know no case: the caller's "Accept" takes the place of our "accept".
        extra = {key.lower(): value for key, value in options.get("extra_headers", {}).items()}
        return replace(
            self,
            headers={**self.headers, **extra},
            timeout=timeout,
            max_retries=options.get("max_retries", self.max_retries),
        )


def _checked(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"base_url must start with http:// or https://, not {url!r}")
    if url.endswith("/v1"):
        raise ValueError(
            f"base_url is the server's address without /v1 (that is for OpenAI's clients): "
            f"{url.removesuffix('/v1')!r}"
        )
    return url
