"""Terms (loss, weight, alignment) and their sum."""
