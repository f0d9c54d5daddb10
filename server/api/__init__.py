"""The HTTP interface: one file per resource, its schemas beside its routes."""
