"""Studies, as the YAML that somebody wrote."""

from muse_core.cli import main
from torture.bad_input import BadInput, Desk

GOOD = "name: mine\nseeds: [0]\nrows:\n  full: {words: all of it}\n"
MEND = "mend"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
"""Nine layers of nine: half a billion texts once it is unfolded."""

GIVEN: tuple[tuple[str, str | bytes, str, str], ...] = (
    # what is wrong, the file, what the answer names, what it says to do
    ("empty", "", "mine.yaml", "it needs name, seeds and rows"),
    ("only a comment", "# to do\n", "mine.yaml", "it needs name, seeds and rows"),
    ("a list", "- full\n- shared\n", "mine.yaml", "it needs name, seeds and rows"),
    ("one word", "full", "mine.yaml", "it needs name, seeds and rows"),
    ("a number", "7", "mine.yaml", "it needs name, seeds and rows"),
    ("two documents", GOOD + "---\n" + GOOD, "mine.yaml", MEND),
    ("binary", bytes(range(256)), "mine.yaml", MEND),
    ("a PNG", b"\x89PNG\r\n\x1a\n" + bytes(64), "mine.yaml", MEND),
    ("UTF-16", GOOD.encode("utf-16-be"), "mine.yaml", MEND),
    ("Latin-1", "name: l\u00e4ufe\n".encode("latin-1"), "mine.yaml", MEND),
    ("tabs as indent", "name: mine\nrows:\n\tfull: 1\n", "mine.yaml", MEND),
    ("a bracket left open", "name: mine\nseeds: [0, 1\n", "mine.yaml", MEND),
    ("a colon too many", "name: mine: yours\n", "mine.yaml", MEND),
    ("an unknown alias", "name: *nobody\n", "mine.yaml", MEND),
    ("a key twice", GOOD + "seeds: [1]\n", "seeds", "give it once"),
    ("a row twice", GOOD + "  full: {words: again}\n", "full", "give it once"),
    ("a list as key", "? [a, b]\n: 1\n", "mine.yaml", MEND),
    ("an object", "!!python/object/apply:os.system ['true']\n", "mine.yaml", MEND),
    ("a module", "name: !!python/module:os\n", "mine.yaml", MEND),
    ("a name of Python", "name: !!python/name:os.system\n", "mine.yaml", MEND),
    (
        "an object in a row",
        GOOD + "  x: {words: !!python/object/new:os.system ['true']}\n",
        "mine.yaml",
        MEND,
    ),
    ("a tag of its own", "name: !study mine\n", "mine.yaml", MEND),
    ("an anchor bomb", BOMB, "mine.yaml", "anchors"),
    (
        "an alias that holds itself",
        "name: mine\nseeds: [0]\nrows: &r {full: *r}\n",
        "mine.yaml",
        "anchors",
    ),
    ("deep nesting", "name: " + "[" * 600 + "]" * 600 + "\n", "mine.yaml", MEND),
    ("no name", "seeds: [0]\nrows: {full: {words: a}}\n", "name", "it is missing"),
    ("no seeds", "name: mine\nrows: {full: {words: a}}\n", "seeds", "it is missing"),
    ("no rows", "name: mine\nseeds: [0]\n", "rows", "it is missing"),
    (
        "no seed in the list",
        "name: mine\nseeds: []\nrows: {full: {words: a}}\n",
        "seeds",
        "at least 1",
    ),
    ("no row in the rows", "name: mine\nseeds: [0]\nrows: {}\n", "rows", "at least 1"),
    (
        "a seed of words",
        "name: mine\nseeds: [zero]\nrows: {full: {words: a}}\n",
        "seeds.0",
        "integer",
    ),
    (
        "a seed twice",
        "name: mine\nseeds: [1, 1]\nrows: {full: {words: a}}\n",
        "mine.yaml",
        "give each once",
    ),
    ("a negative seed", "name: mine\nseeds: [-1]\nrows: {full: {words: a}}\n", "seeds", "0"),
    (
        "one seed without a list",
        "name: mine\nseeds: 0\nrows: {full: {words: a}}\n",
        "seeds",
        "list",
    ),
    ("rows as a list", "name: mine\nseeds: [0]\nrows: [full, shared]\n", "rows", "dictionary"),
    (
        "a row of one word",
        "name: mine\nseeds: [0]\nrows: {full: everything}\n",
        "rows.full",
        "dictionary",
    ),
    (
        "a row without words",
        "name: mine\nseeds: [0]\nrows: {full: {}}\n",
        "rows.full.words",
        "it is missing",
    ),
    (
        "a row that is no folder's name",
        "name: mine\nseeds: [0]\nrows: {a/b: {words: a}}\n",
        "a/b",
        "letters, digits",
    ),
    (
        "a row of HTML",
        'name: mine\nseeds: [0]\nrows: {"<img src=x>": {words: a}}\n',
        "<img src=x>",
        "letters, digits",
    ),
    (
        "a name that leaves",
        "name: ../up\nseeds: [0]\nrows: {full: {words: a}}\n",
        "../up",
        "letters, digits",
    ),
    (
        "a name too long",
        f"name: {'m' * 99}\nseeds: [0]\nrows: {{full: {{words: a}}}}\n",
        "mmmm",
        "letters, digits",
    ),
    ("an unknown entry", GOOD + "colour: blue\n", "colour", "there is no such entry"),
    (
        "an unknown entry in a row",
        GOOD + "  x: {words: a, colour: blue}\n",
        "rows.x.colour",
        "there is no such entry",
    ),
    (
        "an unknown parameter",
        GOOD + "  x: {words: a, change: {stepz: 1}}\n",
        "stepz",
        "the parameters are run",
    ),
    (
        "an unknown common parameter",
        GOOD + "common: {presett: tiny}\n",
        "did you mean 'preset'",
        "the parameters are",
    ),
    ("a share above all", GOOD + "common: {share: 7}\n", "share", "at most 1"),
    ("a list for a parameter", GOOD + "common: {preset: [tiny]}\n", "preset", "text"),
    (
        "an unknown metric",
        GOOD + "  x: {words: a, expects: {psnrr: lower}}\n",
        "psnrr",
        "choose one of psnr",
    ),
    (
        "an unknown direction",
        GOOD + "  x: {words: a, expects: {psnr: down}}\n",
        "down",
        "choose one of lower",
    ),
    (
        "a limit of words",
        GOOD + "  x: {words: a, expects: {psnr: below zero}}\n",
        "below zero",
        "below NUMBER",
    ),
    ("an unknown parent", GOOD + "extends: nobody\n", "nobody", "beside it"),
    (
        "a parent elsewhere",
        GOOD + "extends: ../../../../etc/passwd\n",
        "../../../../etc/passwd",
        "beside it",
    ),
    ("its own parent", GOOD + "extends: mine\n", "'mine'", "beside it"),
    ("a list of parents", GOOD + "extends: [ablations, short]\n", "extends", "name one file"),
    ("only an unknown row", GOOD + "only: [fulll]\n", "fulll", "name one of full"),
    ("only without a list", GOOD + "only: full\n", "only", "list"),
    ("common as a list", GOOD + "common: [preset, tiny]\n", "common", "dictionary"),
    (
        "common as a list in a child",
        "extends: parent\nname: mine\ncommon: [preset]\n",
        "common",
        "dictionary",
    ),
    (
        "rows as a list and only",
        "name: mine\nseeds: [0]\nrows: [full]\nonly: [full]\n",
        "rows",
        "dictionary",
    ),
    (
        "a notebook that is not there",
        GOOD + "notebook: notebooks/none.ipynb\n",
        "none.ipynb",
        "name a notebook",
    ),
    ("a notebook that is none", GOOD + "notebook: LICENSE\n", "LICENSE", "mend it"),
)


def _write(text: str | bytes) -> object:
    def arrange(desk: Desk) -> None:
        content = text.encode() if isinstance(text, str) else text
        (desk.folder / "mine.yaml").write_bytes(content)
        (desk.folder / "parent.yaml").write_text(GOOD)

    return arrange


def _listed(desk: Desk) -> int:
    return main(["study", str(desk.folder / "mine.yaml"), "--list"])


FILES = tuple(
    BadInput(
        f"study file: {wrong}", f"writes a study with {wrong}", names, fix, _listed, _write(text)
    )
    for wrong, text, names, fix in GIVEN
)


def _place(kind: str) -> object:
    def arrange(desk: Desk) -> None:
        place = desk.folder / "mine.yaml"
        place.mkdir() if kind == "folder" else place.symlink_to(desk.folder / "gone.yaml")

    return arrange


PLACES = tuple(
    BadInput(
        f"study file: {words}",
        f"gives {words} as a study",
        "mine.yaml",
        "choose one of",
        _listed,
        _place(kind),
    )
    for kind, words in (("folder", "a folder"), ("link", "a link to a file that is gone"))
)
ROWS = (*FILES, *PLACES)
