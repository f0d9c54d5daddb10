"""Findings: what is not as it should be in a store, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True, slots=True)
class Finding:
    """One thing that is not sound: where it is, what is wrong with it, what helps.

    `about` is `database`, `task`, `version`, `key`, `tenant`, `blob`, `leftover` or `aside`.
    """

    about: str
    where: str
    fault: str
    advice: str
