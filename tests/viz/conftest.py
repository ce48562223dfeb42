"""Run directories made from arrays, and a headless Chromium that may not use the network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import FLAGS, chromium
from tests.viz.make_run import write_run


@pytest.fixture(scope="session")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six queries over epochs 0 to 12, with film strips."""
    return write_run(tmp_path_factory.mktemp("runs") / "film")


@pytest.fixture(scope="session")
def heat_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with feature traces instead of pictures."""
    return write_run(tmp_path_factory.mktemp("runs") / "heat", heat=True)


@pytest.fixture(autouse=True)
def agg() -> Iterator[None]:
    """Draw into memory, and forget the style a test has set."""
    matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'notebooks')")
    matplotlib.use("Agg")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # also what tests of other folders have set
        yield


class Watched:
    """A page with everything that went wrong on it."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.problems.append(m.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("requestfailed", lambda r: self.problems.append(f"failed: {r.url[:100]}"))
        self.page.on("request", lambda r: self.requests.append(r.url))

    def open(self, path: Path) -> Any:
        """Open a file from disk and wait until the scrubber has decoded its pictures."""
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("canvas[data-ready]")
        return self.page


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """A function that starts a browser without a network and returns a watched page."""
    executable = chromium()
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra 'test')")
    with api.sync_playwright() as playwright:
        contexts = []

        def start(**options: Any) -> Watched:
            contexts.append(
                playwright.chromium.launch_persistent_context(
                    tmp_path / f"profile{len(contexts)}",
                    executable_path=executable,
                    args=FLAGS,
                    offline=True,
                    viewport={"width": 1000, "height": 720},
                    **options,
                )
            )
            return Watched(contexts[-1])

        yield start
        for context in contexts:
            context.close()
