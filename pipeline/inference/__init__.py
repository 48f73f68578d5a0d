"""Teachers: fine-tuning, and reading a data set into a target cache."""
