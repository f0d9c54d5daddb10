"""Allow-lists: which addresses requests may have fetched."""

import re
from collections.abc import Iterable

from server.registry.sources.address import Address


class Allowed:
    """Addresses that fit one of some patterns.

    A `*` stands for any text within one step of the path, at the end of a pattern for any steps. It
    never stands for an `@`: what a repository holds at a revision that a stranger names may be a
    stranger's, who opened a pull request.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._forms = [_form(pattern) for pattern in patterns]

    def __contains__(self, address: Address) -> bool:
        text = str(address).removesuffix("/")
        return any(form.fullmatch(text) for form in self._forms)


def _form(pattern: str) -> re.Pattern[str]:
    parts = pattern.removesuffix("/").split("*")
    form = "[^/@]*".join(map(re.escape, parts))
    return re.compile(form.removesuffix("[^/@]*") + "[^@]*" if not parts[-1] else form)
