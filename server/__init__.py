"""The multi-task inference server: api → engine → model → deltas."""
