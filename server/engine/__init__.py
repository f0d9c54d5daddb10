"""Scheduling in integers: requests, sequences, the step and the façade over it."""
