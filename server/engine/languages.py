"""Languages: with which tokens a text begins that is written for a source."""

import re
from collections.abc import Mapping
from itertools import islice

from server.errors import InvalidRequest
from server.model.base import Base
from server.model.sampling import Sampling

_CODE = re.compile(r"__([a-z]{2,3})__|([a-z]{2,3}_[A-Z][A-Za-z]+)")
"""The token of a language: M2M100's `__fr__`, whose code is `fr`, mBART's `fr_XX`, NLLB's
`fra_Latn`."""
_SHOWN = 8


def start_of(sampling: Sampling, base: Base) -> tuple[int, ...]:
    """The tokens that a text begins with: the base's own, or what a request names behind the first.

    Raises InvalidRequest for a language that the tokenizer does not know, and for a base that
    continues what it reads.
    """
    forced, language = sampling.forced_bos_token_id, sampling.language
    start = base.start_tokens
    if not start and (forced, language) != (None, None):
        text = "This base continues what it reads: write what a text begins with into the input."
        raise InvalidRequest(text, "forced_bos_token_id" if language is None else "language")
    if language is None:
        return start if forced is None else (start[0], forced)
    if forced is not None:
        raise InvalidRequest("Name a language or a forced_bos_token_id, not both.", "language")
    return (start[0], _token_of(language, _languages(base)))


def _languages(base: Base) -> Mapping[str, int]:
    """The languages of a base with their tokens, by the codes that its tokenizer knows."""
    found: dict[str, int] = {}
    for name, token in base.tokenizer.get_added_vocab().items():
        code = _CODE.fullmatch(name)
        # Tokenizers may know more tokens than their base.
        if code and token < base.spec.vocabulary:
            found[code[1] or code[2]] = token
    return found


def _token_of(language: str, known: Mapping[str, int]) -> int:
    if language in known:
        return known[language]
    if not known:
        text = "The base's tokenizer names no languages; send forced_bos_token_id."
        raise InvalidRequest(text, "language")
    some = ", ".join(islice(sorted(known), _SHOWN))
    more = ", …" if len(known) > _SHOWN else ""
    text = f"The base's tokenizer has no language '{language[:64]}'; it has: {some}{more}."
    raise InvalidRequest(text, "language")
