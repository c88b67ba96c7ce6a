"""Draws the LaTeX of markdown cells as small SVG pictures, so that a page needs no MathJax from
elsewhere.
"""

import base64
import html
import io
import re
from functools import lru_cache

_CODE_OR_FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`\n]*`)|\$\$(?P<block>.+?)\$\$|(?<![\\\w$])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?![\w$])",
    re.DOTALL,
)
_SPELLINGS = {
    r"\\text\b": r"\\mathrm",
    r"\\lVert\b|\\rVert\b": r"\\Vert",
    r"\\,?\\\\\s*": " ",
    r"&": "",
}
_FONT_POINTS = 12.0


def draw_formulas(markdown: str) -> str:
    """The cell with ``$...$`` and ``$$...$$`` as images; code and what matplotlib cannot typeset
    stay readable.
    """
    return _CODE_OR_FORMULA.sub(_drawn, markdown)


def _drawn(found: re.Match[str]) -> str:
    if found["code"]:
        return found[0]
    latex, kind = (found["block"], "block") if found["block"] else (found["inline"], "inline")
    latex = " ".join(latex.split())
    words = html.escape(latex, quote=True)
    try:
        svg, height, depth = _svg(latex.replace(r"\frac", r"\dfrac") if kind == "block" else latex)
    except ValueError:
        return f'<code class="formula">{words}</code>'
    source = "data:image/svg+xml;base64," + base64.b64encode(svg).decode("ascii")
    style = f"height:{height / _FONT_POINTS:.3f}em;vertical-align:{-depth / _FONT_POINTS:.3f}em"
    return f'<img class="formula {kind}" alt="{words}" style="{style}" src="{source}">'


@lru_cache(maxsize=512)
def _svg(latex: str) -> tuple[bytes, float, float]:
    """(picture, height, depth below the baseline) in points. Raises ValueError for LaTeX matplotlib
    does not know.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    for spelling, known in _SPELLINGS.items():
        latex = re.sub(spelling, known, latex)
    with rc_context({"mathtext.fontset": "cm", "svg.fonttype": "path"}):
        font = FontProperties(size=_FONT_POINTS)
        width, height, depth, *_ = MathTextParser("path").parse(f"${latex}$", dpi=72, prop=font)
        figure = Figure(figsize=((width + 1) / 72, (height + 1) / 72))
        figure.text(
            0.5 / (width + 1), (depth + 0.5) / (height + 1), f"${latex}$", fontproperties=font
        )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue(), height + 1, depth + 0.5
