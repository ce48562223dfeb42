"""Live pictures: one module for a live notebook (anywidget), for exported notebooks and for pages of their own.

The module is the files of ``web/`` joined in order; each of them defines functions, the last one ``render({ model, el
})``.  Without a kernel the same module runs over a plain object in place of anywidget's model.  Everything a picture
needs is inside: nothing is loaded.  Where scripts do not run (an untrusted notebook, a viewer that cleans HTML), a
preview picture remains.
"""

import base64
import html
import json
import os
import uuid
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from vmlkit.files import write_text


@cache
def read_asset(name: str) -> str:
    """The text of a file of ``web/``."""
    return files("vmlkit.viz").joinpath("web", name).read_text(encoding="utf-8")


def module(*names: str) -> str:
    """The files ``base.mjs`` and ``NAME.mjs`` of ``web/`` as one ES module; the last one defines ``render``."""
    return "\n".join(read_asset(f"{name}.mjs") for name in ("base", *names)) + "\nexport default { render };\n"


def stylesheet() -> str:
    """The style sheet of all live pictures."""
    return read_asset("live.css")


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end the element or open a comment.

    >>> script_json("</script>")
    '"\\\\u003c/script>"'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c")


def html_fragment(source: str, state: dict[str, Any], *, preview: bytes, alt: str, data: bytes = b"") -> str:
    """A ``<div>`` with a preview picture, and the inline module that replaces it by the live picture.

    Args:
        source: the module, from :func:`module`.
        state: what the module reads from its model, as JSON.
        preview: PNG bytes.
        alt: the preview in words.
        data: bytes that the module reads as ``data``.
    """
    host = f"vmlkit-live-{uuid.uuid4().hex}"
    constants = {"HOST": host, "STATE": state, "DATA": base64.b64encode(data).decode("ascii")}
    lines = [f"const {name} = {script_json(value)};" for name, value in constants.items()]
    return (
        f"<style>{stylesheet()}</style>\n"
        f'<div id="{host}"><img alt="{html.escape(alt, quote=True)}" style="max-width: 100%"'
        f' src="data:image/png;base64,{base64.b64encode(preview).decode("ascii")}"></div>\n'
        f'<script type="module">\n{source}\n' + "\n".join((*lines, read_asset("stand_in.mjs"))) + "</script>"
    )


def write_page(path: str | os.PathLike[str], title: str, fragment: str, width: int = 980) -> Path:
    """Write one self-contained HTML file and return its path; it appears under its name only when complete."""
    path = Path(path)
    page = Template(read_asset("page.html"))
    write_text(path, page.substitute(title=html.escape(title), fragment=fragment, width=width))
    return path
