"""MUSE: a unified visual tokenizer with topologically orthogonal gradients (arXiv 2605.05646).

The folders read from left to right, and imports only go left:

    base -> data -> foundations -> models -> losses -> training -> evaluation -> figures -> reporting

*base* is the handful of modules beside this file (errors, shapes, paths, presets, stages, records).
"""

__version__ = "0.1.0"
