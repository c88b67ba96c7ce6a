"""What makes an answer to a mistake clear: one sentence of bearable length that says what, where,
and how to mend it.
"""

import re

SHORTEST, LONGEST = 25, 600
"""Characters of a clear sentence."""

_FORBIDDEN = {
    "a traceback": re.compile(r"Traceback|File \"[^\"]+\", line \d+"),
    "several lines": re.compile(r"[\r\n\x00-\x08\x0b\x0c\x0e-\x1f]"),
    "a library's own words": re.compile(
        r"errors\.pydantic\.dev|<class '|object at 0x[0-9a-f]+|\btorch\.Size\b"
    ),
    "an empty value": re.compile(r"\bNone:|\(\)\s*:|: *$"),
}
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\([^()]*\)")
_NEXT_SENTENCE = re.compile(r"[.!?]\s+[A-Z]")


def unclear(message: str, names: str, fix: str) -> str:
    """Why a message is not clear; "" where it is. ``names``: the value or place it must mention;
    ``fix``: what to do.
    """
    for what, pattern in _FORBIDDEN.items():
        if pattern.search(message):
            return f"it holds {what}"
    if not SHORTEST <= len(message) <= LONGEST:
        return f"it is {len(message)} characters long"
    if _NEXT_SENTENCE.search(_QUOTED.sub("", message)):
        return "it is more than one sentence"
    if names.lower() not in message.lower():
        return f"it does not mention {names!r}"
    return "" if fix.lower() in message.lower() else f"it does not say {fix!r}"


def is_clear(message: str, names: str, fix: str) -> bool:
    """Whether `unclear` finds nothing."""
    return not unclear(message, names, fix)
