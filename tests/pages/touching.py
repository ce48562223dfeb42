"""A hand on every live picture of a notebook in JupyterLab: keys, mouse, another theme, a telephone's width."""

from typing import Any

from tests.browsing import evaluate

#: the pixels of all pictures, and again after a change of the page's classes, which makes them read the theme anew
_PIXELS = """async () => {
  const shown = () => [...document.querySelectorAll(".vmlkit-live canvas[data-ready]")].map((c) => c.toDataURL());
  const before = shown();
  document.body.classList.toggle("restyled");
  await new Promise((done) => setTimeout(done, 700));
  return [before, shown()];
}"""

_DRAWN = """(root) => [...root.querySelectorAll("canvas")].map((canvas) => canvas.toDataURL()).join()"""

#: pictures that stand out of their cell, or that are squeezed: drawn at another width than they are shown
_MISFITS = """(root) => {
  const named = [...root.classList].at(-1);
  if (!root.clientWidth) return [];
  const out = root.scrollWidth > root.clientWidth + 1 ? [`${named} is ${root.scrollWidth} of ${root.clientWidth}`] : [];
  const squeezed = [...root.querySelectorAll("canvas")].filter((canvas) => canvas.clientWidth
    && Math.abs(canvas.width / window.devicePixelRatio - canvas.clientWidth) > 2);
  return [...out, ...squeezed.map((c) => `${named} is drawn ${c.width} and shown ${c.clientWidth} wide`)];
}"""

_TURN = """([line]) => {
  const cells = [...window.jupyterapp.shell.currentWidget.content.model.cells];
  const tagged = cells.filter((cell) => (cell.getMetadata("tags") ?? []).includes("parameters"));
  for (const cell of tagged) cell.sharedModel.setSource(`${cell.sharedModel.getSource()}\\n${line}`);
  return tagged.length;
}"""

_UNFOLD = "() => window.jupyterapp.commands.execute('notebook:expand-all-headings').then(() => true)"

_HIDE_SIDEBAR = """async () => {
  const { shell, commands } = window.jupyterapp;
  if (!shell.leftCollapsed) await commands.execute("application:toggle-left-area");
  return true;
}"""


def turn(page: Any, line: str) -> None:
    """Write lines at the end of the notebook's cell with parameters."""
    assert evaluate(page, _TURN, [line]) == 1, "the notebook has no cell of parameters, or several"


def unfold(page: Any) -> None:
    """Open the sections of the notebook that stand behind their heading."""
    evaluate(page, _UNFOLD)


def unstyled(page: Any) -> int:
    """How many pictures change when they are made to read the theme again, which none should.

    Raises:
        AssertionError: where the page has no picture at all.
    """
    before, after = evaluate(page, _PIXELS)
    assert before, "the page has no live picture"
    return sum(a != b for a, b in zip(before, after, strict=True))


def deaf(page: Any) -> list[str]:
    """Live pictures that do not follow the hand on their first slider, in words."""
    found = []
    pictures = page.locator(".vmlkit-live:has(input[type=range])")
    for i in range(pictures.count()):
        root = pictures.nth(i)
        name = str(root.get_attribute("class")).split()[-1]
        slider = root.locator("input[type=range]").first
        slider.scroll_into_view_if_needed()
        root.locator("canvas[data-ready]").first.wait_for(state="attached")
        slider.focus()
        page.keyboard.press("Home")
        before = root.evaluate(_DRAWN)
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        if root.evaluate(_DRAWN) == before:
            found.append(f"{name} does not follow the keys")
        page.keyboard.press("End")
        before = root.evaluate(_DRAWN)
        box = slider.bounding_box()
        x, y = box["x"], box["y"] + box["height"] / 2
        page.mouse.move(x + 0.6 * box["width"], y)
        page.mouse.down()
        page.mouse.move(x + 0.1 * box["width"], y, steps=3)
        page.mouse.up()
        if root.evaluate(_DRAWN) == before:
            found.append(f"{name} does not follow the mouse")
    return found


def misfits(page: Any, width: int = 390) -> list[str]:
    """What does not fit its cell in a window as wide as a telephone, in words; the window is as it was afterwards."""
    size = page.viewport_size
    evaluate(page, _HIDE_SIDEBAR)
    page.set_viewport_size({"width": width, "height": 844})
    page.wait_for_timeout(900)
    found: list[str] = []
    pictures = page.locator(".vmlkit-live")
    for i in range(pictures.count()):
        pictures.nth(i).scroll_into_view_if_needed()  # a cell off the screen is drawn anew when it comes into view
        page.wait_for_timeout(500)
        found += pictures.nth(i).evaluate(_MISFITS)
    page.set_viewport_size(size)
    page.wait_for_timeout(500)
    return found
