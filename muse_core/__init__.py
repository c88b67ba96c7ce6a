"""MUSE: a unified visual tokenizer with topologically orthogonal gradients (arXiv 2605.05646).

The folders read from left to right, and imports only go left:

    base -> config -> losses, figures -> data -> foundations -> models -> baselines -> training
         -> generation -> unified -> evaluation -> report

*base* is errors, shapes, paths, attention and `results`; `cli` and `notebook` stand at the end.
"""

import os

__version__ = "0.1.0"

# OpenMP reads this once, when torch is loaded. By default its waiting threads spin, and beside
# other work that makes a training step several times slower (benchmarks/waiting_threads.py).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
