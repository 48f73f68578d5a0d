"""Measured ratios against other ways to do the same work, each with an interval and, where set, a bar."""

from pipeline.registry import Table

BENCHMARKS = Table(
    "benchmark",
    {
        "filling": "benchmarks.filling:RATIOS",
        "loading": "benchmarks.loading:RATIOS",
        "cold": "benchmarks.cold:RATIOS",
        "many": "benchmarks.many:RATIOS",
        "matching": "benchmarks.matching:RATIOS",
        "rounding": "benchmarks.rounding:RATIOS",
        "selection": "benchmarks.selection:RATIOS",
        "stepping": "benchmarks.stepping:RATIOS",
    },
)
