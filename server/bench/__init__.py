"""Measuring a running server over HTTP, from another process."""
