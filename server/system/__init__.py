"""The system: what it gives this process, and how little of it is asked for."""
