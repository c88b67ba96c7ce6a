"""YAML that somebody else wrote: plain values only, every key once, and no anchors that unfold
without end.
"""

from typing import Any

import yaml

from muse_core.errors import shown

MOST_VALUES = 10_000
"""In a file once its anchors are unfolded; a study has a few hundred."""


class Unreadable(Exception):
    """This text is not YAML that can be used; the exception's text is the reason."""


class _Careful(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, where YAML's own rule is that the last one
    silently wins.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {shown(name)} stands there twice: give it once",
                    problem_mark=node.start_mark,
                )
        return super().construct_mapping(node, deep)


def read_yaml(text: str) -> Any:
    """The value of a YAML document. Raises Unreadable, with the reason in a few words, for anything
    else.
    """
    try:
        loader = _Careful(text)
        node = loader.get_single_node()
        _unfolded(node, MOST_VALUES)
        return None if node is None else loader.construct_document(node)
    except Unreadable:
        raise
    except RecursionError as error:
        raise Unreadable("it is nested too deep, or its anchors never end") from error
    # PyYAML's constructors raise nearly anything for a wrong tag: KeyError, AttributeError.
    except Exception as error:
        raise Unreadable(_reason(error)) from error


def _unfolded(node: yaml.Node | None, budget: int) -> int:
    """What is left of the budget once every value below the node is counted, as often as aliases
    repeat it.
    """
    if budget <= 0:
        raise Unreadable(
            f"it holds more than {MOST_VALUES:,} values once its anchors are unfolded: write it "
            "without them"
        )
    parts = node.value if isinstance(node, yaml.CollectionNode) else ()
    for part in parts:
        for each in part if isinstance(part, tuple) else (part,):
            budget = _unfolded(each, budget - 1)
    return budget


def _reason(error: Exception) -> str:
    """PyYAML's own words, and the line they are about."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    words = problem or (str(error).splitlines() or [type(error).__name__])[0]
    return f"line {mark.line + 1}: {words}" if mark else str(words)
