"""`python tokenizer_judge.py NAME BASE < FILE`: prints how a tokenizer differs from a base's.

The answer is two texts in JSON: what speaks against serving with the base's tokenizer, and what is
to be said; both may be empty. NAME tells what the file is: tokenizer.json, or added_tokens.json, a
table of tokens' numbers.
"""

import json
import resource
import sys
from collections.abc import Iterable, Mapping

from tokenizers import Tokenizer

_SECONDS = 30
_MEMORY = 2 * 1024**3
_SHOWN = 5
_SAMPLES = (
    "The quick brown fox jumps over the lazy dog.",
    "  Leading, trailing  and   inner spaces  ",
    "Tabs\tand\nlines\r\n\n\nof text",
    "I'll say it's 12345.678 or 3,141,592!",
    "naïve café Ångström ﬁ ½ İstanbul",
    "ΑΒΓ абв 東京都 안녕하세요 مرحبا नमस्ते",
    "🙂👩‍👩‍👧 \u200b\ufeff\x00",
    "def f(x):\n    return {'a': [x ** 2 for _ in range(10)]}  # done",
    "https://example.org/a_b?c=d&e=%20 <tag/> [x] ##y",
)


def main() -> None:
    """Compare, within bounds of time and memory."""
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    base = Tokenizer.from_file(sys.argv[2])
    text = sys.stdin.buffer.read().decode()
    vocabulary = base.get_vocab()
    if sys.argv[1] == "tokenizer.json":
        theirs = Tokenizer.from_str(text)
        against = _numbers(theirs.get_vocab(), vocabulary, whole=True) or _matching(theirs, base)
        remark = "" if against else _cutting(theirs, base)
    else:
        against, remark = _numbers(json.loads(text), vocabulary, whole=False), ""
    sys.stdout.write(json.dumps([against, remark]))


def _numbers(theirs: Mapping[str, int], base: Mapping[str, int], *, whole: bool) -> str:
    """Tokens that only one of them has, or that have other numbers; the least numbers first."""
    theirs, base = _in_order(theirs), _in_order(base)
    if more := [f"{token!r} ({number})" for token, number in theirs.items() if token not in base]:
        return f"it has {len(more)} tokens more, {_some(more)}"
    if whole and (fewer := [repr(token) for token in base if token not in theirs]):
        return f"it lacks {len(fewer)} tokens, {_some(fewer)}"
    if moved := [
        f"{token!r} ({number}, not {base[token]})"
        for token, number in theirs.items()
        if number != base[token]
    ]:
        return f"{len(moved)} tokens have other numbers, {_some(moved)}"
    return ""


def _in_order(vocabulary: Mapping[str, int]) -> dict[str, int]:
    # The library keeps no order.
    return dict(sorted(vocabulary.items(), key=lambda item: item[1]))


def _matching(theirs: Tokenizer, base: Tokenizer) -> str:
    """Added tokens that are found in a text in another way, or are special in one alone."""
    found, ours = _added(theirs), _added(base)
    names = sorted(found.keys() | ours.keys())
    if others := [repr(name) for name in names if found.get(name) != ours.get(name)]:
        return f"{len(others)} added tokens are matched otherwise, {_some(others)}"
    return ""


def _added(tokenizer: Tokenizer) -> dict[str, tuple[bool, ...]]:
    return {
        token.content: (token.special, token.lstrip, token.rstrip, token.single_word)
        for token in tokenizer.get_added_tokens_decoder().values()
    }


def _cutting(theirs: Tokenizer, base: Tokenizer) -> str:
    """A text of which they make different tokens, as one does that went through another format."""
    for tokenizer in (theirs, base):
        tokenizer.no_truncation()
        tokenizer.no_padding()
    for sample in _SAMPLES:
        if theirs.encode(sample).ids != base.encode(sample).ids:
            return f"it cuts the text {sample[:40]!r} into other tokens"
    return ""


def _some(names: Iterable[str]) -> str:
    names = [*names]
    return ", ".join(name[:80] for name in names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


if __name__ == "__main__":
    main()
