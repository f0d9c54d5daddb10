"""The catalogue of tasks and the content-addressed store of their deltas."""
