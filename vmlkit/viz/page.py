"""The scrubber without a kernel: an HTML fragment for exported notebooks, and a page of its own.

Both carry the module, the style sheet and the bytes in themselves and load nothing.  Where scripts do not run (an
untrusted notebook, a viewer that cleans HTML), a picture of the last epoch remains.
"""

import base64
import html
import io
import json
import os
import uuid
from importlib.resources import files
from pathlib import Path
from typing import Any

from vmlkit.viz.packing import Packed
from vmlkit.viz.shapes import gaussian
from vmlkit.viz.snapshots import RunView
from vmlkit.viz.style import SCREEN_DPI, styled
from vmlkit.viz.timeline import draw_timeline

# The part of anywidget's model that scrubber.mjs uses, over a plain object.
_STAND_IN = """
{
  const host = document.getElementById(HOST);
  const bytes = Uint8Array.from(atob(DATA), (c) => c.charCodeAt(0));
  const state = { ...STATE, data: new DataView(bytes.buffer) };
  const listeners = {};
  const model = {
    get: (name) => state[name],
    set: (name, value) => {
      state[name] = value;
      (listeners[`change:${name}`] ?? []).forEach((callback) => callback());
    },
    on: (event, callback) => (listeners[event] ??= []).push(callback),
    off: (event, callback) => { listeners[event] = (listeners[event] ?? []).filter((c) => c !== callback); },
    save_changes: () => {},
  };
  host.replaceChildren();
  render({ model, el: host });
}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 32px auto; max-width: 980px; padding: 0 20px;
 font: 14px/1.5 -apple-system, "Segoe UI", Arial, "Liberation Sans", sans-serif;
 background: #fff; color: #22262b; }}
h1 {{ font-size: 20px; font-weight: 600; margin: 0 0 16px; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #15181c; color: #e8ebee; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
{fragment}
</body>
</html>
"""


def read_asset(name: str) -> str:
    """The text of a file that ships beside this module (``scrubber.mjs``, ``scrubber.css``)."""
    return files("vmlkit.viz").joinpath(name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end the element or open a comment.

    >>> script_json("</script>")
    '"\\\\u003c/script>"'
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c")


def preview_png(view: RunView, query_id: str, epoch: int) -> bytes:
    """A picture of one query at one epoch, for places where scripts do not run."""
    query, shot = view.query(query_id), view.snapshot(query_id, epoch)
    positive, negative = view.shapes()
    file = io.BytesIO()
    with styled():
        axes = draw_timeline(
            None,
            view.film_strip(query["video_id"]),
            query["duration_s"],
            tuple(query["span_s"]),
            shot.positives,
            shot.negatives,
            chosen=shot.chosen,
            iou=shot.chosen_iou,
            sentence=query["sentence"],
            answer_s=shot.answer_s(query["duration_s"]),
            curve=gaussian(positive.sigma, positive.floor),
            negative_curve=gaussian(negative.sigma, negative.floor),
            negative_roles=shot.negative_roles,
        )
        axes.strip.set_title(f"“{query['sentence']}” · epoch {epoch}", loc="left", fontsize=10.5)
        axes.figure.savefig(file, format="png", dpi=SCREEN_DPI, metadata={"Software": None})
    return file.getvalue()


def html_fragment(packed: Packed, preview: bytes, state: dict[str, Any]) -> str:
    """A ``<div>`` with a preview picture, and the inline module that replaces it by the scrubber.

    Args:
        packed: what to show.
        preview: PNG bytes.
        state: the values of ``epoch``, ``query`` and ``selected`` to open with.
    """
    host = f"vmlkit-scrubber-{uuid.uuid4().hex}"
    query = next((q for q in packed.meta["queries"] if q["id"] == state["query"]), packed.meta["queries"][0])
    alt = html.escape(f"Epoch scrubber, last epoch: proposals over time for “{query['sentence']}”", quote=True)
    constants = {
        "HOST": host,
        "STATE": {**state, "meta": packed.meta},
        "DATA": base64.b64encode(packed.data).decode("ascii"),
    }
    lines = [f"const {name} = {script_json(value)};" for name, value in constants.items()]
    return (
        f"<style>{read_asset('scrubber.css')}</style>\n"
        f'<div id="{host}"><img alt="{alt}" style="max-width: 100%"'
        f' src="data:image/png;base64,{base64.b64encode(preview).decode("ascii")}"></div>\n'
        f'<script type="module">\n{read_asset("scrubber.mjs")}\n' + "\n".join(lines) + f"{_STAND_IN}</script>"
    )


def write_page(path: str | os.PathLike[str], title: str, fragment: str) -> Path:
    """Write one self-contained HTML file and return its path; it appears under its name only when complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(_PAGE.format(title=html.escape(title), fragment=fragment), encoding="utf-8")
    partial.replace(path)
    return path
