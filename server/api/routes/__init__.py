"""The routes: one file per resource, its schemas beside them."""
