"""Where the server is and how to talk to it."""

import os
from dataclasses import dataclass
from typing import Self

import httpx2

from ._version import __version__

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = httpx2.Timeout(600.0, connect=5.0)
DEFAULT_MAX_RETRIES = 2


@dataclass(frozen=True)
class Settings:
    """What both clients keep about their server."""

    base_url: str
    headers: dict[str, str]
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
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"base_url must start with http:// or https://, not {url!r}")
        headers = {"accept": "application/json", "user-agent": f"polydelta-client/{__version__}"}
        if key := api_key or os.environ.get("POLYDELTA_API_KEY"):
            headers["authorization"] = f"Bearer {key}"
        return cls(url.rstrip("/"), headers, httpx2.Timeout(timeout), max_retries)
