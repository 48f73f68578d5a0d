"""Pure functions of training progress."""
