"""Widgets that need a kernel for what a hand asks, and show what they have where there is none."""

import os
from pathlib import Path
from typing import Any, ClassVar

from vmlkit.errors import MissingDependency
from vmlkit.viz.live import html_fragment, stylesheet, write_page
from vmlkit.viz.style import ROLES

try:
    import anywidget
    import traitlets
except ImportError as error:
    raise MissingDependency("anywidget", "notebooks", "a live picture that asks the kernel") from error


class KernelWidget(anywidget.AnyWidget):
    """A live picture with a twin without kernel; subclasses set ``_esm``, :attr:`kept` and :attr:`title`."""

    _css = stylesheet()

    #: traits that the twin keeps
    kept: ClassVar[tuple[str, ...]] = ()
    title: ClassVar[str] = ""

    roles = traitlets.Dict(help="colours").tag(sync=True)
    kernel = traitlets.Bool(True, help="whether there is one to ask").tag(sync=True)

    def __init__(self, **arguments: Any) -> None:
        super().__init__(roles={name: role.colors for name, role in ROLES.items()}, **arguments)

    def _picture(self) -> bytes:
        """A PNG for places where scripts do not run."""
        raise TypeError(f"{type(self).__name__} does not define _picture")

    def _fragment(self) -> str:
        state = {name: getattr(self, name) for name in ("roles", *self.kept)}
        return html_fragment(
            str(self._esm), {**state, "kernel": False, "wanted": ""}, preview=self._picture(), alt=repr(self)
        )

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The live widget, a twin for pages without a kernel, and a line of text."""
        bundle = super()._repr_mimebundle_()
        if bundle is None:
            return None
        return {**bundle[0], "text/html": self._fragment(), "text/plain": repr(self)}, bundle[1]

    def save_html(self, path: str | os.PathLike[str]) -> Path:
        """Write what it shows now as one self-contained page and return its path."""
        return write_page(path, self.title, self._fragment())
