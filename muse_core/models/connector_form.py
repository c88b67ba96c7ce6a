"""What the authors' release builds otherwise than the paper describes, beside its routing: a form
is data, and a saved tokenizer names it.
"""

from dataclasses import dataclass

from muse_core.errors import chosen


@dataclass(frozen=True)
class ConnectorForm:
    """How adapter, positions and heads are built; by default as MUSE builds them.

    ``learned_queries``: added to the adapted patches. ``adapter_gelu``: after the adapter's linear
    layer. ``raster_rotary``: positions count along the flattened raster, base 10,000, instead of
    rows and columns. ``normed_heads``: to_latent and the projector begin with an RMSNorm, and the
    projector is twice as wide, with biases. ``antialiased``: decoded images are resized so."""

    name: str
    learned_queries: bool = True
    adapter_gelu: bool = False
    raster_rotary: bool = False
    normed_heads: bool = True
    antialiased: bool = True


MUSE_FORM = ConnectorForm("muse")
RELEASE_FORM = ConnectorForm("release", False, True, True, False, False)
FORMS = {form.name: form for form in (MUSE_FORM, RELEASE_FORM)}


def form_named(name: str) -> ConnectorForm:
    """Raises MuseError for an unknown name."""
    return chosen("form", name, FORMS)
