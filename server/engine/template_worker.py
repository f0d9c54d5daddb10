"""`python template_worker.py DESCRIPTOR`: writes chats out by templates that nobody vouches for.

A template may loop for ever, multiply a text into gigabytes or leave its sandbox. So this process
has no more than it needs: a bound on each job's processor time, which ends it, one on its memory,
and from the first job on no file that it could open. Jobs and answers are JSON on the connection.
"""

import json
import resource
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError, TemplateSyntaxError
from transformers.utils.chat_template_utils import render_jinja_template

READY = b"ready"
SECONDS = 1.0
"""Processor time for a chat, the template's compilation with it."""
MAX_MEMORY = 256 * 1024**2
"""Bytes beyond what the process takes idle."""
MAX_TEXT = 2 * 1024**2
"""Bytes of a chat that is written out; a request has no more than half of that."""

_SENTENCE = 200
_PROBES = (
    "{{ strftime_now('%Y') }}{{ messages | tojson }}",
    "{{ raise_exception('no') }}",
    "{% if %}",
)


def main() -> None:
    """Answer until the connection ends."""
    connection = Connection(int(sys.argv[1]))
    # What is imported or looked up at first use is there before no file can be opened any more.
    for template in _PROBES:
        _answer({"template": template, "chat": {"messages": []}})
    _confine()
    connection.send_bytes(READY)
    while True:
        try:
            job = json.loads(connection.recv_bytes())
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        answer = _answer(job)
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send_bytes(json.dumps(answer).encode())


def _answer(job: dict[str, Any]) -> dict[str, str]:
    """The chat as `text`, or why there is none: the template is unsound, or it refuses."""
    try:
        text = _written(job)
        size = len(text.encode())
    except TemplateSyntaxError as error:
        return {"unsound": f"line {error.lineno}: {_sentence(error)}"}
    except TemplateError as error:
        return {"refusal": _sentence(error)}
    except MemoryError:
        return {"unsound": "it takes too much memory"}
    except RecursionError:
        return {"unsound": "it is nested too deeply"}
    except Exception as error:
        return {"refusal": _sentence(error)}
    if size > MAX_TEXT:
        return {"unsound": f"it writes {size} bytes, more than {MAX_TEXT}"}
    return {"text": text}


def _written(job: dict[str, Any]) -> str:
    chat = job["chat"]
    rendered, _ = render_jinja_template(
        conversations=[chat.pop("messages")], chat_template=job["template"], **chat
    )
    return rendered[0]


def _sentence(error: Exception) -> str:
    """An error's own words in one line, no more of them than a reader wants."""
    words = " ".join(str(error).encode(errors="backslashreplace").decode().split())
    return words if len(words) <= _SENTENCE else f"{words[:_SENTENCE]}…"


def _confine() -> None:
    """Take from this process what no template needs."""
    if sys.platform == "linux":
        # The sixth number of `statm` is how many pages of data there are.
        data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        _limit(resource.RLIMIT_DATA, data + MAX_MEMORY)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    # What is open stays open.
    _limit(resource.RLIMIT_NOFILE, 0)


def _limit(kind: int, amount: int) -> None:
    _, most = resource.getrlimit(kind)
    amount = amount if most == resource.RLIM_INFINITY else min(amount, most)
    resource.setrlimit(kind, (amount, amount))


if __name__ == "__main__":
    main()
