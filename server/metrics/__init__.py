"""What the engine does, for those who operate it."""

from server.metrics.metrics import Metrics

__all__ = ["Metrics"]
