"""Commands of the ``muse`` command line, as their words."""

from pathlib import Path

from muse_core.cli import main
from torture.bad_input import BadInput, Desk
from torture.workspace import KEPT

HELP = "--help"
NOTEBOOKS = "choose all or one of 00_foundations"

GIVEN: tuple[tuple[str, str, str], ...] = (
    # the command, what the answer names, what it says to do
    ("", "arguments are required", HELP),
    ("rum 01", "rum", HELP),
    ("run", "NOTEBOOK", HELP),
    ("run 99", "'99'", NOTEBOOKS),
    ("run 01_topology_warmpu", "did you mean '01_topology_warmup'", NOTEBOOKS),
    ("run 01 02 ten", "'ten'", NOTEBOOKS),
    ("run ../../etc/passwd", "../../etc/passwd", NOTEBOOKS),
    ("run no/such.ipynb", "no/such.ipynb", NOTEBOOKS),
    ("run notebooks", "'notebooks'", NOTEBOOKS),
    ("run DESK/broken.ipynb", "broken.ipynb", "mend it"),
    ("run DESK/empty.ipynb", "empty.ipynb", "mend it"),
    ("run DESK/list.ipynb", "list.ipynb", "mend it"),
    ("run DESK/unparsable.ipynb", "unparsable.ipynb", "mend it"),
    ("run 01 -p", "-p", HELP),
    ("run 01 -p steps", "-p", HELP),
    ("run 01 -p stepz 5", "did you mean 'steps'", "the parameters are run"),
    ("run 01 -p STEPS 5", "STEPS", "the parameters are run"),
    ("run 01 --steps 5", "--steps", HELP),
    ("run 01 -p steps [1,2", "[1,2", "write it as '[1, 2]'"),
    ("run 01 -p steps {a:", "{a:", "'{a: 1}'"),
    ("run 01 -p steps [!!python/object/apply:os.getcwd,[]]", "!!python", "write it as"),
    ("run 01 --run ../up", "../up", "letters, digits"),
    ("run 01 --run gallery", "gallery", "use another"),
    ("run 01 --run a -p run b", "--run a and -p run b", "give one"),
    ("run 01 --run", "--run", HELP),
    ("run 01 -p preset ../tiny", "../tiny", "letters, digits"),
    ("run 04 -p lawyer 5", "did you mean 'layer'", "the parameters are run"),
    ("run 01 04 -p fitt pad", "did you mean 'fit'", "the parameters are run"),
    ("study", "STUDY", HELP),
    ("study ablation", "'ablation'", "choose one of ablations"),
    ("study studies", "'studies'", "choose one of ablations"),
    ("study smoke --jobs two", "two", HELP),
    ("study smoke --jobs -2", "-2", "a positive number"),
    ("study smoke --jobs 2.5", "2.5", HELP),
    ("study smoke --lists", "--lists", HELP),
    ("study smoke short", "short", HELP),
    ("gallery --run nobody", "nobody", "make reports"),
    (f"gallery --run {KEPT}", "is missing", "make reports"),
    (f"gallery --run {KEPT} --into ablations", "is stale", "again"),
    (f"gallery --run {KEPT} --into museum", "museum", HELP),
    ("gallery --run ../..", "../..", "letters, digits"),
    ("gallery tiny", "tiny", HELP),
    ("list everything", "everything", HELP),
    ("index now", "now", HELP),
    ("watch", "RUN", HELP),
    ("watch nobody", "nobody", "muse run"),
    ("watch ../kept", "../kept", "letters, digits"),
    (f"watch {KEPT} --seconds soon", "soon", HELP),
    (f"watch {KEPT} --seconds -1", "-1", "0 or more"),
)

BROKEN = {
    "broken.ipynb": "{",
    "empty.ipynb": "",
    "list.ipynb": "[1, 2]",
    "unparsable.ipynb": '{"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "x: int = ="}]}',
}


def _notebooks(desk: Desk) -> None:
    for name, text in BROKEN.items():
        (desk.folder / name).write_text(text)


def _words(desk: Desk, command: str) -> list[str]:
    return [word.replace("DESK", str(Path(desk.folder))) for word in command.split()]


ROWS = tuple(
    BadInput(
        f"command: muse {command}".strip(),
        f"types `muse {command}`",
        names,
        fix,
        lambda desk, command=command: main(_words(desk, command)),
        _notebooks,
    )
    for command, names, fix in GIVEN
)
