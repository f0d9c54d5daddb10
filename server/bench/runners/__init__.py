"""Programs that run under a peer's own interpreter; they import nothing of ours."""
