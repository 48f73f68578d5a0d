"""Augmentation of your own: an edit here has every augmented data set made again."""
