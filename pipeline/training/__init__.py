"""Students trained by streaming their inputs and the cached targets."""
