"""Whether the dashboard shows something: its queries, asked of a real Prometheus."""
