"""Selectors of your own: an edit here has every data set selected again."""
