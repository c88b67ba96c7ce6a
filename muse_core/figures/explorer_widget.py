"""The attention explorer as a live widget, whose selection Python reads and sets, and which takes a
reader's own images.
"""

from collections.abc import Callable
from typing import Any

from muse_core.errors import MuseError
from muse_core.figures.explorer import explorer_fragment, first_selection, script


def explorer_widget(
    data: dict[str, Any], add: Callable[[str, bytes], dict[str, Any]] | None = None
) -> Any:
    """The same as a live widget: ``widget.selection`` is what is being looked at, and may be set.

    ``add``, if given, lets a reader drop an image on it: called with the file's name and bytes, it
    returns the new data, or raises MuseError, whose sentence is shown. Outside JupyterLab, and in
    exported pages, the widget's output falls back to `explorer_fragment`."""
    import anywidget
    import traitlets

    class AttentionExplorer(anywidget.AnyWidget):
        _esm = script()
        data = traitlets.Dict().tag(sync=True)
        selection = traitlets.Dict().tag(sync=True)
        accepts_images = traitlets.Bool(False).tag(sync=True)

        def _repr_mimebundle_(self, **options: Any) -> Any:
            shown = super()._repr_mimebundle_(**options)
            bundle, metadata = shown if isinstance(shown, tuple) else (shown, {})
            return {**bundle, "text/html": explorer_fragment(self.data, self.selection)}, metadata

    def received(widget: AttentionExplorer, content: dict[str, Any], buffers: list[Any]) -> None:
        try:
            widget.data = add(str(content.get("name", "image")), bytes(buffers[0]))
        except MuseError as error:
            widget.send({"says": str(error)})

    widget = AttentionExplorer(
        data=data, selection=first_selection(data), accepts_images=add is not None
    )
    if add is not None:
        widget.on_msg(received)
    return widget
