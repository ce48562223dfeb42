"""Film the scrubber: ``python tools/scrubber_gif.py RUN OUT.gif``; needs a Chromium.

The saved page of a run is opened without a network and stepped through its epochs; each step is one picture.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

from lab import find_chromium, new_page

from vmlkit.viz.scrubber import save_html
from vmlkit.viz.snapshots import RunView

#: seconds that a step is shown, and the first and the last
STEP_S, HOLD_S = 0.45, 1.6
WIDTH, COLORS, MOST_STEPS = 860, 256, 24


def film(run: Path, out: Path, query: str | None) -> int:
    """Write the pictures as one endless GIF and return its size in bytes."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("no Chromium: install it, or name it in VMLKIT_CHROMIUM")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        page_file = save_html(run, Path(name, "run.html"), query=query)
        page = new_page(
            playwright, Path(name, "profile"), chromium, offline=True, viewport={"width": WIDTH, "height": 760}
        )
        page.goto(page_file.as_uri())
        page.wait_for_selector("canvas[data-ready]")
        page.locator("h1, .choices, .note, .detail").evaluate_all("nodes => nodes.forEach((n) => n.remove())")
        page.locator("body").evaluate("body => { body.style.margin = '8px auto'; body.style.padding = '0 10px'; }")
        slider = page.locator("input[type=range]")
        steps = int(slider.get_attribute("max") or 0)
        jump = max(1, -(-steps // MOST_STEPS))
        pictures = []
        for step in range(0, steps + 1, jump):
            while int(slider.input_value()) < step:
                slider.press("ArrowRight")
            slider.evaluate("node => node.blur()")
            shot = page.locator("body").screenshot()
            pictures.append(Image.open(io.BytesIO(shot)).convert("RGB"))
        page.context.close()
    palette = pictures[-1].quantize(COLORS)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    times = [int(1000 * (HOLD_S if i in (0, len(frames) - 1) else STEP_S)) for i in range(len(frames))]
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True)
    return out.stat().st_size


def main() -> None:
    """Film, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--query", help="default: the one whose answer improved most")
    arguments = parser.parse_args()
    size = film(arguments.run, arguments.out, arguments.query or best_query(arguments.run))
    print(f"{arguments.out}: {size / 1e6:.2f} MB")
    if size > 1.5e6:
        sys.exit("that is more than the 1.5 MB that the page allows")


def best_query(run: Path) -> str:
    """The recorded query whose answer improved most (so a favourable one)."""
    view = RunView(run)
    first, last = view.recorded_epochs[0], view.recorded_epochs[-1]
    gains = {q: view.snapshot(q, last).chosen_iou - view.snapshot(q, first).chosen_iou for q in view.queries}
    return max(gains, key=lambda q: gains[q])


if __name__ == "__main__":
    main()
