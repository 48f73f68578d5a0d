"""Readers of your own: an edit here has every data set read again."""
