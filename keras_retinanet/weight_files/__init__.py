"""Weight files of any framework as NumPy arrays, read without that framework and without running what they contain.

`open_weights` recognises the layout by content. What the arrays mean is not known here: backbones and importers are
built on these readers.
"""
