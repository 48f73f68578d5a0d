"""What the sum of a start and an end loss is multiplied by."""

REDUCTIONS = {"mean": 0.5, "sum": 1.0}
