"""What may be read from a user's folders, as a walk over the sources: no pickle, no YAML that
builds objects, no code.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((*(ROOT / "muse_core").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")))
WITHOUT_WEIGHTS = {"AutoTokenizer"}
LIBRARIES = {"transformers", "diffusers"}


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call, by what it calls: ``torch.load``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def arguments(call: ast.Call) -> set[str]:
    """Keyword arguments as ``name=value``."""
    return {f"{each.arg}={ast.unparse(each.value)}" for each in call.keywords}


def from_libraries(tree: ast.Module) -> set[str]:
    """Names imported from transformers and diffusers."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {
        alias.name
        for node in nodes
        if (node.module or "").split(".")[0] in LIBRARIES
        for alias in node.names
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_can_run_what_it_reads(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not imported & {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for name, call in calls(tree):
        assert name not in {
            "eval",
            "exec",
            "yaml.load",
            "yaml.unsafe_load",
            "yaml.full_load",
            "np.load",
        }, name
        assert "trust_remote_code=True" not in arguments(call)
        assert name != "torch.load" or "weights_only=True" in arguments(call)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_weights_of_libraries_come_from_safetensors(path: Path) -> None:
    """A direct call says so itself; others go through `load_whole`, which says it for them."""
    tree = ast.parse(path.read_text())
    known = from_libraries(tree) - WITHOUT_WEIGHTS
    for name, call in calls(tree):
        owner, _, method = name.rpartition(".")
        if method == "from_pretrained" and owner in known:
            assert "use_safetensors=True" in arguments(call), f"line {call.lineno}: {name}"


def test_the_walk_sees_what_it_forbids() -> None:
    tree = ast.parse(
        "from transformers import CLIPModel\nCLIPModel.from_pretrained('x')\ntorch.load('y')"
    )
    assert from_libraries(tree) == {"CLIPModel"} and {name for name, _ in calls(tree)} == {
        "CLIPModel.from_pretrained",
        "torch.load",
    }
