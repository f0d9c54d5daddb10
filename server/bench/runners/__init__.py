"""Programs that import nothing of ours: most run under a peer's own interpreter."""
