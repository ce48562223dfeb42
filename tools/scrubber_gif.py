"""Film the scrubber: ``python tools/scrubber_gif.py RUN OUT.gif``; needs a Chromium.

The saved page of a run is opened without a network and stepped through its epochs; each step is one picture.  With
``--record`` the numbers of what the film shows are written beside it, from which README.md is written.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from lab import find_chromium, new_page

from vmlkit import provenance
from vmlkit.files import write_json
from vmlkit.viz.following import dependence_at, following
from vmlkit.viz.phases import in_order, negative_overlaps, turning_points
from vmlkit.viz.scrubber import save_html
from vmlkit.viz.snapshots import RunView

#: seconds that a step is shown, and the first, the turn of c and the last
STEP_S, HOLD_S = 0.45, 1.6
WIDTH, COLORS, MOST_STEPS = 860, 256, 24

#: measures of the run that the record keeps
_KEPT = ("positive center spread", "positive center R2", "chosen center R2", "negative own IoU", "negative others' IoU",
         "negative NLL gap")  # fmt: skip


def film(run: Path, out: Path, query: str, holds: set[int]) -> int:
    """Write the pictures as one endless GIF, which rests at the epochs ``holds``; returns its size in bytes."""
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
        # the words below change from epoch to epoch, the size of the picture must not
        page.locator(".following").evaluate("node => { node.style.minHeight = '5.8em'; }")
        slider = page.locator("input[type=range]")
        steps = int(slider.get_attribute("max") or 0)
        jump = max(1, -(-steps // MOST_STEPS))
        pictures, times = [], []
        for step in range(0, steps + 1, jump):
            while int(slider.input_value()) < step:
                slider.press("ArrowRight")
            slider.evaluate("node => node.blur()")
            shot = page.locator("body").screenshot()
            pictures.append(Image.open(io.BytesIO(shot)).convert("RGB"))
            shown = int(page.locator("canvas.stage").get_attribute("data-epoch") or 0)
            times.append(int(1000 * (HOLD_S if shown in holds or step + jump > steps else STEP_S)))
        page.context.close()
    # negatives change their colour, so the first, a middle and the last picture choose the palette together
    three = [np.asarray(pictures[i]) for i in (0, len(pictures) // 2, -1)]
    palette = Image.fromarray(np.concatenate(three)).quantize(COLORS, Image.Quantize.MAXCOVERAGE)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=True)
    return out.stat().st_size


def main() -> None:
    """Film, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run of P0, whose c changes its sign")
    parser.add_argument("out", type=Path)
    parser.add_argument("--query", help="default: the one whose negatives leave and come back most clearly")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write the numbers of the film into this file")
    parser.add_argument("--beside", type=Path, metavar="RUN", help="a run of a paper's own design, for the record")
    arguments = parser.parse_args()
    view = RunView(arguments.run)
    query = arguments.query or clearest_query(view)
    size = film(arguments.run, arguments.out, query, set(turning_points(view)))
    print(f"{arguments.out}: {size / 1e6:.2f} MB")
    if size > 1.5e6:
        sys.exit("that is more than the 1.5 MB that the page allows")
    if arguments.record:
        write_json(arguments.record, numbers(view, query, arguments.beside))
        print(arguments.record)


def clearest_query(view: RunView) -> str:
    """The recorded query whose negatives come back from the turn to the end most clearly, in overlap and in NLL.

    Of those whose answer is not far off in the end (IoU of .4 or more): a favourable one, and the page says so.
    """
    overlaps, (_, turn, last) = negative_overlaps(view), turning_points(view)
    answered = [query for query in overlaps.index if view.snapshot(query, last).chosen_iou >= 0.4]
    clear = {
        query: overlaps.loc[query, "end"]
        - overlaps.loc[query, "turn"]
        + _gap(view, query, turn)
        - _gap(view, query, last)
        for query in answered or overlaps.index
    }
    return str(max(clear, key=lambda query: clear[query]))


def _gap(view: RunView, query: str, epoch: int) -> float:
    """Mean NLL(negative) - NLL(answer) of one query; 0 where there is no answer."""
    shot = view.snapshot(query, epoch)
    return 0.0 if shot.chosen is None else float((shot.negative_nll - shot.nll[shot.chosen]).mean())


def numbers(view: RunView, query: str, beside: Path | None) -> dict[str, Any]:
    """What the film shows, over all sentences and for the one filmed; what README.md says is written from it."""
    overlaps = negative_overlaps(view)
    epochs = dict(zip(("start", "turn", "end"), turning_points(view), strict=True))
    right = [in_order(row) == ("start", "turn", "end") for row in overlaps.to_dict("records")]
    back = (overlaps["end"] > overlaps["turn"]).mean()
    settings = view.run.config
    return {
        "method": settings["method"],
        "data": settings["settings"]["data"],
        "train": {name: settings["settings"]["train"][name] for name in ("epochs", "seed")},
        "sentence": view.query(query)["sentence"],
        "epochs": epochs,
        "overlap_of_its_negatives": overlaps.loc[query].round(3).to_dict(),
        "gap_of_its_negatives": {name: round(_gap(view, query, epoch), 3) for name, epoch in epochs.items()},
        "answer_iou": {name: round(view.snapshot(query, epoch).chosen_iou, 3) for name, epoch in epochs.items()},
        "measures": {
            name: {key: round(value, 4) for key, value in dependence_at(view, epoch).items() if key in _KEPT}
            for name, epoch in epochs.items()
        },
        "recorded_sentences": len(overlaps),
        "mean_overlap": overlaps.mean().round(3).to_dict(),
        "share_back": round(float(back), 3),
        "share_in_order": round(sum(right) / len(right), 3),
        "following": following(view),
        "papers_own": following(beside) if beside else "",
        "made_with": provenance.made_with(),
    }


if __name__ == "__main__":
    main()
