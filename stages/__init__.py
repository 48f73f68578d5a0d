"""Thin entry points: one file a stage, the params, the command line."""
