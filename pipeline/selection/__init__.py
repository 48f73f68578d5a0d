"""Passages: the part of a context that a teacher can read, with its exact map to the original."""
