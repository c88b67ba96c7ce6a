"""The ladder of DESIGN.md section 3: a package imports only from its left, wherever in a file the import stands."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LADDER = (
    "base",
    "data",
    "foundations",
    "models",
    "losses",
    "training",
    "generation",
    "evaluation",
    "figures",
    "reporting",
)
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "muse_core").rglob("*.py"))
}


def rung(module: str) -> str:
    """``muse_core.data.scenes`` stands on ``data``; a file directly in muse_core is ``base``."""
    inner = module.split(".")[1:2]
    is_package = bool(inner) and (ROOT / "muse_core" / inner[0]).is_dir()
    return inner[0] if is_package else "base"


def imports(module: str) -> set[str]:
    """Every module this file imports, at its top or inside a function; an imported name counts if it is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {f"{origin(node, module)}.{alias.name}" for alias in node.names}
            found |= (names & FILES.keys()) | ({origin(node, module)} if names - FILES.keys() else set())
    return found - {module}


def origin(node: ast.ImportFrom, module: str) -> str:
    """The absolute name of what follows ``from``."""
    is_package = FILES[module].name == "__init__.py"
    here = module.split(".") + ([""] if is_package else [])
    return ".".join([*here[: len(here) - node.level], *filter(None, [node.module])]) if node.level else str(node.module)


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if name.split(".")[0] == "muse_core"}


def test_every_package_stands_on_the_ladder():
    assert {rung(module) for module in FILES} <= set(LADDER)


@pytest.mark.parametrize("module", FILES)
def test_imports_go_left_only(module):
    left = LADDER[: LADDER.index(rung(module)) + 1]
    wrong = sorted(name for name in ours(module) if rung(name) not in left)
    assert not wrong, f"{module} stands on {rung(module)!r} and imports {wrong} from its right"


@pytest.mark.parametrize("module", [module for module in FILES if rung(module) == "figures"])
def test_figures_take_arrays_and_records_not_models(module):
    assert {rung(name) for name in ours(module)} <= {"base", "figures"}
    assert not {name.split(".")[0] for name in imports(module)} & {"torch", "torchvision", "transformers", "diffusers"}


@pytest.mark.parametrize("module", FILES)
def test_nothing_imports_tests_or_notebooks(module):
    assert not {name.split(".")[0] for name in imports(module)} & {"tests", "notebooks"}


def test_there_are_no_cycles():
    try:
        TopologicalSorter({module: ours(module) & FILES.keys() for module in FILES}).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' -> '.join(error.args[1])}")
