"""Bad days: what users do wrong, machines that die, long runs. `make torture` runs them."""

import muse_core  # noqa: F401 - before torch, for how its threads wait
