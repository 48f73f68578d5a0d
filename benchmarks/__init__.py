"""Measured ratios against other ways to do the same work, each with an interval and, where set, a bar."""

from pipeline.registry import Table

BENCHMARKS = Table(
    "benchmark",
    {
        "filling": "benchmarks.filling:RATIOS",
        "loading": "benchmarks.loading:RATIOS",
        "cold": "benchmarks.cold:RATIOS",
        "matching": "benchmarks.matching:RATIOS",
        "selection": "benchmarks.selection:RATIOS",
        "stepping": "benchmarks.stepping:RATIOS",
    },
)
