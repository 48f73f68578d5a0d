"""Architectures, one a file, registered with the Auto classes on import."""
