"""Predictions, official scores, size and speed."""
