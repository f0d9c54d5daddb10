"""Everything the library refuses to do, as one tree.

PolydeltaError
├── UnsupportedBase        the base's architecture is none that can be computed here
└── DeltaError             something is wrong with a delta
    ├── InvalidDelta       its files are damaged, incomplete or contradict themselves
    │   └── UnsafeDelta    its files are of a kind that is never opened (pickle, archives)
    ├── UnsupportedDelta   it is sound but asks for something Polydelta does not do
    └── WrongBase          it was made for another base

Each message says what was found and what to do next; `code` is its stable name on the wire.
"""

from typing import ClassVar


class PolydeltaError(Exception):
    """Root of every error that Polydelta raises on purpose."""

    code: ClassVar[str] = "internal_error"


class UnsupportedBase(PolydeltaError):
    """The base's architecture is none that can be computed here."""

    code = "unsupported_base"


class DeltaError(PolydeltaError):
    """A delta cannot be used."""

    code = "invalid_delta"


class InvalidDelta(DeltaError):
    """A delta's files are damaged, incomplete or contradict themselves."""


class UnsafeDelta(InvalidDelta):
    """A delta's files are of a kind that is never opened, such as pickle or an archive."""

    code = "unsupported_media_type"


class UnsupportedDelta(DeltaError):
    """A delta is sound but asks for something Polydelta does not do."""

    code = "unsupported_delta"


class WrongBase(DeltaError):
    """A delta was made for another base."""

    code = "wrong_base"
