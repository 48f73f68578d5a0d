"""What a task needs: features, gold loss, decoding."""
