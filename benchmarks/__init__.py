"""Speed and memory, measured; `make bench` runs them."""

import muse_core  # noqa: F401 - before torch, for how its threads wait
