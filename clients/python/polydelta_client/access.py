"""Access: what a key is good for, and who changed what."""

from dataclasses import dataclass

from ._result import Answer, Result


@dataclass(frozen=True, repr=False)
class Key(Answer):
    """What the client's key is good for: "infer", "read", "write" and "admin" are `scopes`.

    `tenant` is empty for the shared one; `expires` is in Unix seconds, None for keys that last.
    Where a server uses no keys everybody may do all, and `name` is None.
    """

    name: str | None
    tenant: str
    scopes: list[str]
    expires: float | None


@dataclass(frozen=True, repr=False)
class Change(Result):
    """A change of a task, a key or limits, or one that was refused; `at` is in Unix seconds.

    `who` is a key's name, "operator" for the command line, "server" for what servers do by their
    settings and rules, or "anonymous" where there are no keys. `outcome` is "done" or the code of
    the error. Where it is about a key or limits, `task` is empty; `about` names the key.
    """

    number: int
    at: float
    who: str
    kind: str
    tenant: str
    task: str
    version: int | None
    about: str
    outcome: str
