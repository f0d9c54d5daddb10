"""The catalogue: what lasts of the registry besides the deltas' files."""
