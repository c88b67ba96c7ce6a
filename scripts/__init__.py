"""What makes the files that the repository holds."""

import muse_core  # noqa: F401 - before torch, for how its threads wait
