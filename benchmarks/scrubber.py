"""How long the scrubber takes to build, and one step of it in a real JupyterLab: kernel idle, and kernel training.

Protocol: a recorded run of 50 epochs, 32 queries and 16 proposals (with film strips, selection weights and a signal
per clip) is opened in JupyterLab by a headless Chromium (software rendering).  Arrow keys are pressed on the slider.
A step lasts from the time stamp of the key press, which the browser sets when the event arrives, until every canvas
has been drawn *and* a pixel of each has been read back, which forces pending drawing to be done.  The time until the
frame after that is given beside it; it contains the wait for the screen's next refresh.

Building is what a cell with the scrubber costs in Python: the widget and its outputs, CPU seconds, the least of five.

    python -m benchmarks.scrubber --json benchmarks/results/scrubber.json
    python -m benchmarks.scrubber --building --json benchmarks/results/scrubber_building_cpu.json
"""

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

from benchmarks import _frame
from tests.viz.make_run import write_run
from tools.lab import find_chromium, jupyterlab, new_page

EPOCHS, QUERIES, POSITIVES, NEGATIVES = 50, 32, 8, 8
MEDIAN_MS, P95_MS = 16.0, 50.0
BUILDING_S, MAX_BYTES = 1.0, 4_000_000

SHOW = f"""
from vmlkit.viz.scrubber_widget import EpochScrubber
view = EpochScrubber("run", max_bytes={MAX_BYTES})
view
"""

TRAIN = """
from vmlkit.config import with_overrides
from vmlkit.experiments.experiment import run_experiment
from vmlkit.methods import preset
settings = {"train.epochs": 1000, "data.max_train_queries": 320, "data.max_test_queries": 16}
settings |= {"data.max_validation_queries": 16}
print("training", flush=True)
run_experiment(with_overrides(preset("cpl", "toy", "ci"), settings), "training", progress=False)
"""

# our listener comes after the widget's own on the same element, which draws before it returns
LISTEN = """() => {
  const slider = document.querySelector(".vmlkit-scrubber input[type=range]");
  const canvases = [...document.querySelectorAll(".vmlkit-scrubber canvas")];
  const stage = canvases[0];
  const sum = () => {
    const { data } = stage.getContext("2d").getImageData(0, 0, stage.width, stage.height);
    let total = 0;
    for (let i = 0; i < data.length; i += 13) total = (total * 31 + data[i]) >>> 0;
    return total;
  };
  const steps = (window.vmlkitSteps = []);
  let [pressed, last] = [0, sum()];
  slider.addEventListener("keydown", (event) => { pressed = event.timeStamp; });
  slider.addEventListener("input", () => {
    canvases.forEach((canvas) => canvas.getContext("2d").getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1));
    const step = { drawn: performance.now() - pressed };
    const now = sum();
    [step.changed, last] = [now !== last, now];
    const from = pressed;
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => { step.frame = performance.now() - from; steps.push(step); };
      channel.port2.postMessage(0);
    });
  });
  slider.focus();
}"""


def measure(page: Any, steps: int) -> list[dict[str, Any]]:
    """Press keys, one after the other's frame, up and down over the epochs; what each step took, in ms."""
    before = page.evaluate("() => window.vmlkitSteps.length")
    for i in range(steps):
        page.keyboard.press("ArrowRight" if (i // EPOCHS) % 2 == 0 else "ArrowLeft")
        page.wait_for_function(f"() => window.vmlkitSteps.length > {before + i}")
    taken: list[dict[str, Any]] = page.evaluate(f"() => window.vmlkitSteps.slice({before})")
    return taken


def summarise(taken: list[dict[str, Any]]) -> dict[str, Any]:
    """Median and 95th percentile of both times, and whether every step changed the picture."""

    def quantile(name: str, share: float) -> float:
        return round(sorted(step[name] for step in taken)[max(0, round(share * len(taken)) - 1)], 2)

    times = {
        name: {
            "median_ms": round(statistics.median(step[name] for step in taken), 2),
            "p95_ms": quantile(name, 0.95),
            "max_ms": quantile(name, 1.0),
        }
        for name in ("drawn", "frame")
    }
    return {"steps": len(taken), "steps_that_changed_the_picture": sum(s["changed"] for s in taken), **times}


def condition(page: Any, steps: int, training: Path) -> dict[str, Any]:
    """One measured block, with the load of the machine around it and the training steps taken meanwhile.

    (The kernel's status would not do: it answers a widget's messages on a channel of their own while a cell runs.)
    """
    load, before = os.getloadavg()[0], steps_of(training)
    result = summarise(measure(page, steps))
    after = steps_of(training)
    return {
        **result,
        "training_steps_meanwhile": after - before,
        "load_average": [round(load, 2), round(os.getloadavg()[0], 2)],
    }


def steps_of(training: Path) -> int:
    """Training steps recorded so far."""
    file = training / "state.json"
    return int(json.loads(file.read_text())["step"]) if file.is_file() else 0


def building(folder: Path, repeats: int = 5) -> dict[str, float]:
    """CPU seconds for the widget of a run and for what its cell shows, the least of some builds."""
    from vmlkit.viz.scrubber_widget import EpochScrubber

    taken = []
    for _ in range(repeats):
        start = time.process_time()
        view = EpochScrubber(folder, max_bytes=MAX_BYTES)
        built = time.process_time()
        view._repr_mimebundle_()
        taken.append((built - start, time.process_time() - built))
    widget, outputs = (round(min(times), 3) for times in zip(*taken, strict=True))
    return {"widget_cpu_s": widget, "outputs_cpu_s": outputs}


def prepare(folder: Path) -> None:
    """The recorded run and the notebook that shows it."""
    write_run(folder / "run", epochs=EPOCHS, queries=QUERIES, positives=POSITIVES, negatives=NEGATIVES, signals=True)
    cells = [nbformat.v4.new_code_cell(SHOW.strip())]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "bench.ipynb")


def run(steps: int) -> dict[str, Any]:
    """Everything measured, by condition."""
    from playwright.sync_api import sync_playwright

    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("this benchmark needs Chromium: install it, or name it in VMLKIT_CHROMIUM")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        (folder / "work").mkdir()
        prepare(folder / "work")
        with jupyterlab(folder / "work", folder / "home") as lab:
            page = new_page(playwright, folder / "profile", chromium)
            lab.enter(page)
            lab.open(page, "bench.ipynb", kernel=True)
            lab.run_all(page)
            page.wait_for_selector("canvas[data-ready]")
            embedded = page.evaluate("() => document.querySelectorAll('.vmlkit-scrubber .query option').length")
            page.evaluate(LISTEN)
            measure(page, 20)
            page.keyboard.press("Home")
            training = folder / "work" / "training"
            found = {"kernel idle": condition(page, steps, training)}
            lab.execute(page, TRAIN, wait=False)
            # first it renders the toy world; measure while it takes steps
            until = time.monotonic() + 120
            while not steps_of(training) and time.monotonic() < until:
                page.wait_for_timeout(250)
            page.keyboard.press("Home")
            page.wait_for_timeout(500)
            found["kernel training"] = condition(page, steps, training)
            if not found["kernel training"]["training_steps_meanwhile"]:
                raise SystemExit("no training step was taken: this is not the condition that is to be measured")
            version = (
                page.context.browser.version if page.context.browser else page.evaluate("() => navigator.userAgent")
            )
            page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
            lab.close(page)
            page.context.close()
    return {"conditions": found, "embedded_queries": embedded, "browser": version}


def measure_building() -> dict[str, Any]:
    """The part that needs no browser: :func:`building` of the recorded run, printed with its verdict."""
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        built = building(Path(name) / "run")
    print(f"building: {built}; {'holds' if sum(built.values()) < BUILDING_S else 'DOES NOT HOLD'}")
    return {"building": built, "wanted": {"cpu_s": BUILDING_S, "of": "widget and outputs"}}


def measure_steps(steps: int) -> dict[str, Any]:
    """The part in JupyterLab: every condition, printed with its verdict."""
    found = run(steps)
    for name, result in found["conditions"].items():
        drawn, frame = result["drawn"], result["frame"]
        holds = drawn["median_ms"] < MEDIAN_MS and drawn["p95_ms"] < P95_MS
        print(
            f"{name:16s} drawn {drawn['median_ms']:6.2f} ms median, {drawn['p95_ms']:6.2f} ms p95;"
            f" next frame {frame['median_ms']:6.2f}, {frame['p95_ms']:6.2f}; load {result['load_average']};"
            f" {result['training_steps_meanwhile']} training steps meanwhile; {'holds' if holds else 'DOES NOT HOLD'}"
        )
    note = "the machine was shared: see load_average (before, after) of each condition"
    return {"wanted": {"median_ms": MEDIAN_MS, "p95_ms": P95_MS, "of": "drawn"}, **found, "note": note}


def main() -> None:
    """Measure, print, and write the record where asked."""
    parser = _frame.options(__doc__)
    parser.add_argument("--steps", type=int, default=200, help="slider steps per condition")
    parser.add_argument("--building", action="store_true", help="measure only what building costs; needs no browser")
    options = parser.parse_args()
    found = measure_building() if options.building else measure_steps(options.steps)
    size = {"epochs": EPOCHS, "queries": QUERIES, "positives": POSITIVES, "negatives": NEGATIVES}
    _frame.keep(options.json, "scrubber", size=size, **found)


if __name__ == "__main__":
    main()
