"""A student's inputs: tokens, maps from the teachers' tokens, gold labels, confusing answers, identities."""
