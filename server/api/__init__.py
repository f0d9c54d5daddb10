"""The HTTP interface: what routes have in common; routes and plumbing lie below."""
