"""What may be read from a user's folders, as a walk over the sources: no pickle, no YAML that
builds objects, no code.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    path for top in ("muse_core", "scripts", "benchmarks") for path in (ROOT / top).rglob("*.py")
)
PICKLING = {"pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
RUNNING = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "np.load"}
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


def imported(tree: ast.Module) -> set[str]:
    """Top names of every import."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def from_libraries(tree: ast.Module) -> set[str]:
    """Names imported from transformers and diffusers."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {
        alias.name
        for node in nodes
        if (node.module or "").split(".")[0] in LIBRARIES
        for alias in node.names
    }


def what_runs(tree: ast.Module) -> Iterator[str]:
    """Whatever here could run what it reads."""
    yield from imported(tree) & PICKLING
    for name, call in calls(tree):
        given = arguments(call)
        unsafe = name == "torch.load" and "weights_only=True" not in given
        if name in RUNNING or unsafe or "trust_remote_code=True" in given:
            yield f"line {call.lineno}: {name}"


def pickled_weights(tree: ast.Module) -> Iterator[str]:
    """Direct calls of a library's ``from_pretrained`` that would take a pickle; others go through
    `load_whole`, which asks for safetensors.
    """
    known = from_libraries(tree) - WITHOUT_WEIGHTS
    for name, call in calls(tree):
        owner, _, method = name.rpartition(".")
        if (
            method == "from_pretrained"
            and owner in known
            and "use_safetensors=True" not in arguments(call)
        ):
            yield f"line {call.lineno}: {name}"


def test_nothing_can_run_what_it_reads() -> None:
    found = [(path, each) for path in FILES for each in what_runs(ast.parse(path.read_text()))]
    assert len(FILES) > 50 and not found


def test_weights_of_libraries_come_from_safetensors() -> None:
    found = [
        (path, each) for path in FILES for each in pickled_weights(ast.parse(path.read_text()))
    ]
    assert not found


def test_the_walk_sees_what_it_forbids() -> None:
    tree = ast.parse(
        "import pickle\nfrom joblib import load\nfrom transformers import CLIPModel\n"
        "CLIPModel.from_pretrained('x')\ntorch.load('y')\neval('1')\n"
        "AutoTokenizer.from_pretrained('z', trust_remote_code=True)"
    )
    assert list(pickled_weights(tree)) == ["line 4: CLIPModel.from_pretrained"]
    assert set(what_runs(tree)) == {
        "pickle",
        "joblib",
        "line 5: torch.load",
        "line 6: eval",
        "line 7: AutoTokenizer.from_pretrained",
    }
