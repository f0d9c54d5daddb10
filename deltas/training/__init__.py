"""Training of deltas: the frozen base, the kinds and the wiring are those that serve."""
