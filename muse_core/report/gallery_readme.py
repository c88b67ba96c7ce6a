"""``reports/gallery/README.md``: what GitHub shows of the gallery, from the same facts as its
index.
"""

import html
import re

from muse_core.report.headline import Headline, Number, with_unit
from muse_core.report.run_summary import NotebookRow, RunSummary

SHOWN_WIDTH = 420
"""CSS pixels of a cover in the README."""
VERDICTS = {"no difference": "not told apart"}


def readme(
    run: RunSummary, pages: str, title: str = "MUSE gallery", command: str = "make gallery"
) -> str:
    """The whole text; ``pages`` is the sentence on what a reader may expect of them, ``command``
    what wrote it.
    """
    parts = [
        f"# {title}: run `{run.name}`",
        _plain(" ".join(run.about)),
        f"Made by `{command}` from an executed run; do not edit. GitHub shows pages as source, so clone the repository and "
        f"open [index.html](index.html) in a browser. {pages}",
        *(_numbers(run.headline) if run.headline else []),
        "## The notebooks",
        *map(_notebook, run.notebooks),
        "## Where it comes from",
        "\n".join(f"- {name}: {_plain(value)}" for name, value in run.facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _numbers(headline: Headline) -> list[str]:
    """The headline numbers as a table."""
    beside = any(one.shared for one in headline.numbers)
    head = ["", "MUSE", "95 % interval"] + (
        ["shared routing", "95 % interval", "MUSE against it"] if beside else []
    )
    rows = [head, [":--"] + ["--:"] * 2 + (["--:"] * 2 + [":--"] if beside else [])]
    rows += [_line(one, beside) for one in headline.numbers]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return ["## What was measured", table, _plain(headline.about)]


def _line(one: Number, beside: bool) -> list[str]:
    figures = [one.label, f"**{with_unit(one.value, one.unit)}**", one.interval]
    others = [
        with_unit(one.shared, one.unit),
        one.shared_interval,
        VERDICTS.get(one.verdict, one.verdict),
    ]
    return figures + (others if beside else [])


def _notebook(row: NotebookRow) -> str:
    """Title, cover and claim, all leading to the page."""
    lines = [f"### [{_plain(row.title)}]({row.link})"]
    if row.picture:
        width = min(SHOWN_WIDTH, row.picture.width)
        words = html.escape(row.picture.alt, quote=True)
        lines.append(
            f'<a href="{row.link}"><img src="{row.picture.src}" width="{width}" alt="{words}"></a>'
        )
    lines += [_plain(row.claim)] if row.claim else []
    return "\n\n".join(lines)


def _plain(text: str) -> str:
    """Words that Markdown leaves as they are."""
    return re.sub(r"([\\`*_\[\]<>|#~$])", r"\\\1", text)
