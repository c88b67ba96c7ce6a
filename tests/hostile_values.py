"""Values that nobody expects, for tests by hypothesis: of every type, nested, huge, not finite, and
texts that look like code.
"""

import json
from typing import Any

from hypothesis import strategies as st

CODE = (
    "__import__('os').getcwd()",
    "../../etc/passwd",
    "$(id)",
    "a\0b",
    "\ud800",
    "<script>",
    "1e999",
    "nan",
    "-0",
    "true",
)
HUGE = st.sampled_from((100, 1_500, 17_000)).map(lambda bits: 2**bits)
"""Integers; the largest has more digits than Python, and so hypothesis, prints."""
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    HUGE,
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(max_size=30),
    st.sampled_from(CODE),
)
KEYS = st.text(max_size=8) | st.sampled_from(("name", "rows", "step", "words"))
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: Any, content: bytes) -> bytes:
    """The content cut, overwritten, doubled or with bytes put in."""
    start = draw(st.integers(0, len(content)))
    stop = draw(st.integers(start, len(content)))
    return (
        content[:start]
        + draw(st.binary(max_size=6))
        + content[draw(st.sampled_from((start, stop))) :]
    )


def json_bytes(value: Any) -> bytes:
    """As a file would hold it."""
    return json.dumps(value).encode()
