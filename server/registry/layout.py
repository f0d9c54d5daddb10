"""The layout of a store: the names of what lies in it."""

BLOBS = "blobs"
"""The directory of all blobs, each a directory named by its digest."""

BLOBS_ASIDE = "blobs-"
"""How directories of blobs begin that were set aside, since no database names them."""

DATABASE = "registry.sqlite3"
"""The catalogue's file, unless servers share one elsewhere."""

DAMAGED = "damaged-"
"""How database files begin that were set aside, since they were damaged."""

KEYED = "has-keys"
"""The file that tells that requests need API keys, should the database with them be lost."""

RUN = "run-"
"""How directories begin that are of one server alone."""
