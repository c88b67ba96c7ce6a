"""The Triton kernels in Triton's own interpreter on the CPU, against the block in torch.

The interpreter is chosen when triton is imported, so the comparison runs in a process of its own.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

COMPARISON = """
import torch
from muse_core.losses.topology_block import block_terms
from muse_core.losses.topology_triton import triton_block_terms

torch.manual_seed(0)
shapes = [(1, 1, 16, 16, 16), (2, 3, 35, 50, 8), (1, 2, 64, 33, 20), (2, 1, 5, 70, 32)]
shapes += [(1, 1, 1, 1, 3)]
for batch, heads, queries, keys, width in shapes:
    q, k = torch.randn(batch, heads, queries, width), torch.randn(batch, heads, keys, width)
    target = torch.softmax(3 * torch.randn(batch, heads, queries, keys), -1)
    target = target * (target > target.median()) * 0.9 if keys > 1 else target
    for with_gradient in (True, False):
        found = triton_block_terms(target, q, k, with_gradient)
        expected = block_terms(target, q, k, with_gradient)
        assert (found.into_keys is None) == (expected.into_keys is None) == (not with_gradient)
        for one, other in zip(found[: 3 if with_gradient else 1], expected, strict=False):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
print("equal")
"""


@pytest.mark.long
@pytest.mark.skipif(
    find_spec("triton") is None, reason="no triton here: its wheels exist for Linux only"
)
def test_the_kernels_equal_the_block_in_torch() -> None:
    """Sizes that are no multiple of a tile; targets with zeros and rows that do not sum to one."""
    root = Path(__file__).resolve().parents[3]
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "PYTHONPATH": str(root),
        "CUDA_VISIBLE_DEVICES": "",
    }
    ran = subprocess.run(
        [sys.executable, "-c", COMPARISON],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0 and ran.stdout.strip() == "equal", ran.stderr[-2000:]
