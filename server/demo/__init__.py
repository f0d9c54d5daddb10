"""The embedded demo: data readers, recipes and the deltas trained by them."""
