"""Code of your own, which params name as module:attribute: see docs/extending.md.

DVC watches this folder. Readers stand in `datasets`, augmenters in `augmentation`, selectors in
`selection`, all else anywhere in it.
"""
