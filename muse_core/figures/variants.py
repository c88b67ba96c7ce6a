"""The table of attention variants: what each changes, what leaks (nothing), and what it costs."""

from collections.abc import Sequence
from html import escape

from muse_core.figures.tables import NUMBER, VERDICT_COLOURS, WORDS, table
from muse_core.results.measurements import VariantRow

COLUMNS = (
    "largest forbidden gradient",
    "closed pairs walked",
    "weights of a block",
    "time of a step",
)


def variant_table(rows: Sequence[VariantRow]) -> str:
    """HTML: one line a variant."""
    left, right = (f"{style};white-space:normal;vertical-align:bottom" for style in (WORDS, NUMBER))
    head = "".join(
        f'<th scope="col" style="{left}">{words}</th>' for words in ("attention", "what it is")
    )
    head += "".join(f'<th scope="col" style="{right}">{words}</th>' for words in COLUMNS)
    return table("Attention variants under orthogonal routing", head, "".join(map(_line, rows)))


def _line(row: VariantRow) -> str:
    exact = row.forbidden == 0.0
    colour = VERDICT_COLOURS["better" if exact else "worse"]
    shown = "0, exactly" if exact else f"{row.forbidden:.1e}"
    cells = (f"{row.pairs:,}", f"{row.parameters:,}", f"× {row.time:.2f}")
    return (
        f'<tr><th scope="row" style="{WORDS};white-space:nowrap">{escape(row.name)}</th>'
        f'<td style="{WORDS}">{escape(row.words)}</td><td style="{NUMBER};color:{colour}">{shown}</td>'
        + "".join(f'<td style="{NUMBER}">{cell}</td>' for cell in cells)
        + "</tr>"
    )
