"""Upkeep: looking after a store, beside running servers or without any."""
