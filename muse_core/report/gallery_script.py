"""Plotly for the gallery: the same library, compressed inside a script that unpacks it in the
reader's browser.

A page opened from disk may load a script but not fetch a compressed file, so the bytes travel as
text: 2.0 MB, not 4.8."""

import base64
import gzip
import re

_LOADER = """%(licence)s
/* compressed; unpacked by the browser, then every figure of the page is drawn */
addEventListener("DOMContentLoaded", async () => {
  if (!window.DecompressionStream) return;
  const bytes = Uint8Array.from(atob("%(packed)s"), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(unpacked).text();
  document.head.append(script);
  document.querySelectorAll("figure[data-plotly]").forEach(wake);
});
"""


def packed_plotly() -> bytes:
    """The script. It needs the pages' own ``wake`` (`page_style.SCRIPT`) and a browser of 2023 or
    later; else stills stay.
    """
    from plotly.offline import get_plotlyjs

    library = get_plotlyjs()
    licence = re.match(r"\s*/\*.*?\*/", library, re.DOTALL)
    packed = base64.b64encode(gzip.compress(library.encode(), 9, mtime=0)).decode("ascii")
    return (_LOADER % {"licence": licence[0].strip() if licence else "", "packed": packed}).encode()
