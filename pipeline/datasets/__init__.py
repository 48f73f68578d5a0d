"""Readers, one a format, that turn raw files into examples and say what they refused."""
