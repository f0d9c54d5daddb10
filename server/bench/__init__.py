"""Measuring a running server over HTTP, from another process, alone or beside its peers."""
