"""Supply: deltas' files that are on other machines, brought into this server's store.

peers    other servers of the same registry, which advertise where they are
bucket   an object store that all of them put into
"""
