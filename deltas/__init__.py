"""What a delta is: kinds, sites, banks and checkpoint formats, usable without the server."""
