"""The ladder: a package imports only from its left, wherever in a file the import stands."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LADDER = (
    "base",
    "config",
    "losses",
    "figures",
    "data",
    "foundations",
    "models",
    "baselines",
    "training",
    "generation",
    "unified",
    "evaluation",
    "report",
    "entry",
)
"""Imports only go left."""
BASE, ENTRY = {"results"}, {"cli", "notebook"}
"""Folders that stand on the lowest rung; single files that stand on the highest."""
LEAVING = {
    ("muse_core.config.parameters", "muse_core.training.launch"),
}
"""Steps to the right that are still there; none may be added."""
TOPS = ("muse_core", "scripts", "benchmarks", "tests")


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {_module(path): path for top in TOPS for path in sorted((ROOT / top).rglob("*.py"))}
PACKAGE = [module for module in FILES if module.split(".")[0] == "muse_core"]


def rung(module: str) -> str:
    """``muse_core.data.scenes`` stands on ``data``; a file directly in muse_core on ``base``."""
    first = [*module.split(".")[1:2], ""][0]
    if first in ENTRY:
        return "entry"
    is_folder = bool(first) and (ROOT / "muse_core" / first).is_dir()
    return first if is_folder and first not in BASE else "base"


@cache
def imports(module: str) -> set[str]:
    """Every module this file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module)
            names = {f"{origin}.{alias.name}" for alias in node.names}
            found |= (names & FILES.keys()) | ({origin} if names - FILES.keys() else set())
    return found - {module}


def _origin(node: ast.ImportFrom, module: str) -> str:
    """The absolute name of what follows ``from``."""
    is_package = FILES[module].name == "__init__.py"
    here = module.split(".") + ([""] if is_package else [])
    if not node.level:
        return str(node.module)
    return ".".join([*here[: len(here) - node.level], *filter(None, [node.module])])


def ours(module: str) -> set[str]:
    return imports(module) & FILES.keys()


def test_every_folder_stands_on_the_ladder():
    assert {rung(module) for module in PACKAGE} <= set(LADDER)


def test_imports_go_left_only():
    wrong = []
    for module in PACKAGE:
        left = LADDER[: LADDER.index(rung(module)) + 1]
        wrong += [
            f"{module} ({rung(module)}) imports {name} ({rung(name)})"
            for name in sorted(ours(module))
            if rung(name) not in left and (module, name) not in LEAVING
        ]
    assert not wrong, "\n".join(wrong)


def test_figures_take_arrays_and_records_not_models():
    heavy = {"torch", "torchvision", "transformers", "diffusers"}
    for module in PACKAGE:
        if rung(module) == "figures":
            assert not {name.split(".")[0] for name in imports(module)} & heavy, module


def test_the_package_imports_nothing_beside_it():
    for module in PACKAGE:
        tops = {name.split(".")[0] for name in imports(module)}
        assert not tops & {"tests", "notebooks", "scripts", "benchmarks"}, module


def test_torture_and_benchmarks_stand_apart_from_the_tests():
    """Torture trains what the integration tests train, and shares no more with them."""
    shared = {"tests.integration.micro"}
    for module in FILES:
        names = {name for name in ours(module) if name.startswith("tests.")}
        torture = {name for name in names if name.startswith("tests.torture")}
        if module.startswith("tests.torture"):
            assert names - torture <= shared, module
        else:
            assert not torture, module
        if module.startswith(("benchmarks", "scripts")):
            assert not names, module


def test_there_are_no_cycles():
    for top in TOPS:
        graph = {
            module: {name for name in ours(module) if (module, name) not in LEAVING}
            for module in FILES
            if module.split(".")[0] == top
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            raise AssertionError(" -> ".join(error.args[1])) from error


def test_no_module_name_stands_twice():
    names = [module.split(".")[-1] for module in PACKAGE if FILES[module].name != "__init__.py"]
    twice = sorted({name for name in names if names.count(name) > 1} - {"__main__"})
    assert not twice, twice
