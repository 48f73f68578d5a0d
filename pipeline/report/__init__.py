"""The summary over all students and teachers."""
