"""Values that a stranger may write into JSON, and what one change to a document may be."""

import json
from copy import deepcopy
from random import Random
from typing import Any

_TEXTS = (
    "", "a" * 3000, "\ud800", "\x00", "../..", "naïve\u202e", "nan", "(", "a{9999}",
    "(?:a{99}){99}", ".*", r"(?P<index>\d+)", "^(a+)+$", "[[a]]", "all-linear", "lm_head",
    "embed_tokens", "LORA", "IA3", "PREFIX_TUNING", "SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS",
    "regression", "head", "F64",
)  # fmt: skip
_PLAIN: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 1024, 1025, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308,
    5e-324, [], {}, [[]], [None], [0], ["q_proj"], [1, "a", None], {"a": 1}, {"": {}},
    {"q_proj": 0},
)  # fmt: skip
_SLOW = r"(?:\w|\w\w|\w\w\w|\.|\w\.)+(?:\w|\w\w|\.)+[A-Z]"
# Seconds of matching each, as much as a load may take: now and then.
_SLOW_SHARE = 2e-4


def value(random: Random) -> Any:
    """A value that is odd, of another type or absurdly large."""
    if random.random() < _SLOW_SHARE:
        return _SLOW
    match random.randrange(4):
        case 0:
            return random.choice(_TEXTS)
        case 1:
            return nested(random)
        case _:
            # A copy: what is put into a document may be changed there.
            return deepcopy(random.choice(_PLAIN))


def nested(random: Random) -> Any:
    """Containers within containers, mostly a few, at times as many as JSON's writer can bear."""
    found: Any = 0
    for _ in range(random.choice((2, 7, 8, 9, 60))):
        found = [found] if random.random() < 0.5 else {"a": found}
    return found


def change(document: Any, random: Random) -> None:
    """Change a document in one place: set, remove, rename or repeat something in it."""
    container = random.choice(_containers(document))
    if isinstance(container, list):
        place = random.randrange(len(container) + 1)
        match random.randrange(3):
            case 0 if place < len(container):
                del container[place]
            case 1 if place < len(container):
                container[place] = value(random)
            case _:
                container.insert(place, value(random))
        return
    keys = list(container)
    match random.randrange(5):
        case 0 if keys:
            del container[random.choice(keys)]
        case 1 if keys:
            container[str(random.choice(_TEXTS))] = container.pop(random.choice(keys))
        case 2 if len(keys) > 1:
            one, other = random.sample(keys, 2)
            container[one], container[other] = container[other], container[one]
        case 3:
            container[str(random.choice(_TEXTS))] = value(random)
        case _:
            container[random.choice(keys) if keys else "a"] = value(random)


def written(document: Any, random: Random) -> bytes:
    """A document as text, at times with a fault that only a text can have."""
    text = json.dumps(document).encode()
    match random.randrange(12):
        case 0:
            return text[: random.randrange(len(text) + 1)]
        case 1:
            depth = random.choice((9, 500, 990, 5000, 30_000))
            opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
            return text[:-1] + b',"deep":' + opening * depth + b"0" + closing * depth + b"}"
        case 2:
            return b'{"r":1,"r":2,' + text[1:]
        case 3:
            return text.replace(b"1", random.choice((b"NaN", b"Infinity", b"1e999", b"-1", b"01")))
        case 4:
            place = random.randrange(len(text) + 1)
            return text[:place] + random.randbytes(random.randrange(1, 4)) + text[place:]
        case 5:
            return text.ljust(random.choice((65_536, 65_537, 70_000)))
        case _:
            return text


def _containers(document: Any) -> list[Any]:
    """Every list and object of a document, itself first."""
    found = [document]
    for item in found:
        children = item.values() if isinstance(item, dict) else item
        found += [child for child in children if isinstance(child, dict | list)]
    return found
