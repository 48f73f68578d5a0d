"""Losses, one pure function a file, each returning a sum and a count."""
