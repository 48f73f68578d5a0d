"""Where each stage reads and writes, relative to the root of the pipeline."""

from pathlib import Path

PARAMS = Path("params.yaml")
EXAMPLES = Path("data/examples")
PASSAGES = Path("data/passages")
TEACHERS = Path("data/teachers")
TARGETS = Path("data/targets")
MANIFESTS = Path("data/manifests")
MERGES = Path("data/merges")
TOKENIZERS = Path("data/tokenizers")
INPUTS = Path("data/inputs")
STUDENTS = Path("data/students")
SCORES = Path("data/scores")
REPORTS = Path("reports")
WORK = Path(".coldbrew")
