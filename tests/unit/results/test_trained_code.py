"""A training's record knows its code, and which file of it changed."""

from muse_core.results.trained_code import changed_code, code_digests, other_code


def test_what_decides_a_training_is_known_by_its_files() -> None:
    code = code_digests()
    assert {"losses/topology.py", "models/synergistic_block.py"} <= code.keys()
    assert not [name for name in code if name.startswith(("figures/", "report/", "config/"))]
    assert changed_code(code) == []


def test_changed_new_and_lost_files_are_named() -> None:
    code = code_digests()
    old = code | {"losses/topology.py": "another", "losses/gone.py": "a"}
    del old["losses/anchor.py"]
    assert changed_code(old) == ["losses/anchor.py", "losses/gone.py", "losses/topology.py"]


def test_the_sentence_names_three_files_at_most() -> None:
    code = code_digests()
    assert other_code(code) == ""
    said = other_code(dict.fromkeys(list(code)[:5], "another") | dict(list(code.items())[5:]))
    assert said.startswith("trained with other code: ") and "and 2 more changed since" in said
