"""``python -m tools.lab`` (``make lab``): JupyterLab over the repository, with the tour open.

For tests and benchmarks: the same server on the loopback address with a home, settings and a token of its own, and a
page of a headless Chromium in it, which counts what goes wrong.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

#: what the file browser does not list: JupyterLab's own, and the text twins of notebooks, which jupytext still reads
HIDDEN = ("__pycache__", "*.pyc", "*.pyo", ".DS_Store", "*~", "[0-9][0-9]_*.py")
TOUR = "notebooks/00_tour.ipynb"

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]

#: seconds for anything that a browser or a server does, on a machine that is busy with other things
PATIENCE = 120

#: A script leaves its outcome on the page, where it is asked for: a promise that a browser is asked to wait for
#: is held by nothing but what will answer it, and Chromium now and then collects one ("Resulting promise was
#: garbage collected").
_BEGIN = """([name, argument]) => {
  const outcomes = (window.vmlkitOutcomes ??= {});
  const keep = (outcome) => (outcomes[name] = outcome);
  outcomes[name] = null;
  (async () => (SCRIPT)(argument))().then(
    (value) => keep({ value: value ?? null }),
    (error) => keep({ error: String(error?.stack ?? error) }),
  );
}"""

_OUTCOME = """(name) => {
  const outcome = window.vmlkitOutcomes?.[name] ?? null;
  if (outcome) delete window.vmlkitOutcomes[name];
  return outcome;
}"""

#: no news question over the page, and no saving behind our back
_QUIET = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
}
#: every cell in the document; a user's JupyterLab leaves out what is below the fold
_EVERY_CELL = {"notebook-extension/tracker": {"windowingMode": "none"}}

_OPEN = """async ([path, kernel]) => {
  const app = window.jupyterapp;
  await app.restored;
  let watch;
  const refused = new Promise((done) => {
    watch = setInterval(() => {
      const dialog = document.querySelector(".jp-Dialog");
      if (dialog) done({ error: dialog.innerText });
    }, 100);
  });
  const opened = async () => {
    const off = { shouldStart: false, canStart: false, autoStartDefault: false };
    const widget = await app.commands.execute("docmanager:open", kernel ? { path } : { path, kernelPreference: off });
    if (!widget) return { error: "it did not open" };
    await Promise.all([widget.context.ready, widget.revealed]);
    if (kernel) await widget.sessionContext.ready;
    app.shell.activateById(widget.id);
    return { error: null, cells: widget.content.model.cells.length, path: widget.context.path };
  };
  return Promise.race([opened(), refused]).finally(() => clearInterval(watch));
}"""

_RUN_ALL = """async () => {
  const app = window.jupyterapp;
  const panel = app.shell.currentWidget;
  await app.commands.execute("notebook:run-all-cells");
  const cells = [...panel.content.model.cells].filter((c) => c.type === "code" && c.sharedModel.source.trim());
  return cells.map((c) => ({ count: c.executionCount, source: c.sharedModel.source.slice(0, 80),
    errors: c.outputs.toJSON().filter((o) => o.output_type === "error").map((o) => `${o.ename}: ${o.evalue}`) }));
}"""

_EXECUTE = """async ([code, wait]) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, store_history: false });
  let said = "";
  future.onIOPub = (m) => {
    if (m.header.msg_type === "stream") said += m.content.text;
    if (m.header.msg_type === "error") said += `${m.content.ename}: ${m.content.evalue}`;
  };
  if (wait) await future.done;
  return said;
}"""


def find_chromium() -> str | None:
    """Path of an installed Chromium: ``$VMLKIT_CHROMIUM``, then the usual names; None without one."""
    names = (os.environ.get("VMLKIT_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def new_page(playwright: Any, profile: Path, executable: str, **options: Any) -> Any:
    """A page of a fresh browser profile."""
    arguments = {"viewport": {"width": 1280, "height": 900}, **options}
    context = playwright.chromium.launch_persistent_context(
        profile, executable_path=executable, args=FLAGS, **arguments
    )
    context.set_default_timeout(PATIENCE * 1000)
    return context.pages[0] if context.pages else context.new_page()


def evaluate(page: Any, script: str, argument: Any = None, seconds: float = PATIENCE) -> Any:
    """What the JavaScript function ``script`` gives; an error after so many seconds, and where the script throws."""
    name, deadline = secrets.token_hex(8), time.monotonic() + seconds
    page.evaluate(_BEGIN.replace("SCRIPT", script), [name, argument])
    pause = 50
    while (outcome := page.evaluate(_OUTCOME, name)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer within {seconds:g} s")
        page.wait_for_timeout(pause)
        pause = min(1000, pause * 1.2)  # a notebook runs for minutes, and asking takes what it needs
    if "error" in outcome:
        raise RuntimeError(outcome["error"])
    return outcome["value"]


def options(root: Path) -> list[str]:
    """What JupyterLab is told: this machine alone, the repository as root, the tour first, and twins not listed."""
    hidden = [f"--ContentsManager.hide_globs={pattern}" for pattern in HIDDEN]
    # whatever the user's own configuration says; the token is Jupyter's, a new one each time
    alone = "--ServerApp.ip=127.0.0.1"
    return [alone, f"--ServerApp.root_dir={root}", f"--LabApp.default_url=/lab/tree/{TOUR}", *hidden]


def main(arguments: list[str]) -> int:
    """Start JupyterLab and wait for its end; ``arguments`` go to it."""
    command = [sys.executable, "-m", "jupyter", "lab", *options(ROOT), *arguments]
    with contextlib.suppress(KeyboardInterrupt):
        return subprocess.run(command, cwd=ROOT).returncode
    return 0


class Complaints:
    """What went wrong on a page: errors on the console, failed requests, and requests to anywhere but ``home``."""

    def __init__(self, page: Any, home: str) -> None:
        self.found: list[str] = []
        page.on("console", lambda m: m.type == "error" and self.found.append(f"console: {m.text}"))
        page.on("pageerror", self._uncaught)
        page.on("requestfailed", lambda r: self._failed(r))
        page.on("request", lambda r: self._outside(r.url, home))

    def _uncaught(self, error: Any) -> None:
        # ipywidgets' manager asks for the kernel's id also where a notebook was opened with none; nothing of ours does
        if "reading 'kernel'" in str(error) and "jupyterlab-manager" in (error.stack or "jupyterlab-manager"):
            return
        self.found.append(f"uncaught: {error} {(error.stack or '')[:300]}")

    def _failed(self, request: Any) -> None:
        # a page that is left cancels what it had asked for
        if "ERR_ABORTED" not in (request.failure or ""):
            self.found.append(f"failed: {request.url[:120]} {request.failure}")

    def _outside(self, url: str, home: str) -> None:
        if not url.startswith((home, home.replace("http", "ws", 1), "data:", "blob:", "about:")):
            self.found.append(f"outside: {url[:120]}")


class Lab:
    """A running server; see :func:`jupyterlab`."""

    def __init__(self, port: int, token: str) -> None:
        self.home, self.token = f"http://127.0.0.1:{port}/", token

    def enter(self, page: Any) -> None:
        """Open JupyterLab with nothing in it, and wait until it is there."""
        page.goto(f"{self.home}lab?token={self.token}&reset")
        page.wait_for_function("() => window.jupyterapp !== undefined")
        evaluate(page, "() => window.jupyterapp.restored.then(() => true)")

    def open(self, page: Any, path: str, *, kernel: bool) -> dict[str, Any]:
        """Open a notebook, with a kernel that has started or with none; ``error``, ``cells`` and ``path`` come back."""
        found: dict[str, Any] = evaluate(page, _OPEN, [path, kernel])
        if kernel and not found["error"]:
            status = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status"
            page.wait_for_function(f"() => {status} === 'idle'", polling=100)
        return found

    def run_all(self, page: Any, seconds: float = 3 * PATIENCE) -> list[dict[str, Any]]:
        """Run every cell of the notebook in front; ``count``, ``source`` and ``errors`` of each code cell."""
        done: list[dict[str, Any]] = evaluate(page, _RUN_ALL, seconds=seconds)
        return done

    def execute(self, page: Any, code: str, *, wait: bool = True) -> str:
        """Run code in the kernel of the notebook in front; what it printed."""
        said: str = evaluate(page, _EXECUTE, [code, wait])
        return said.strip()

    def save(self, page: Any) -> None:
        """Save the notebook in front."""
        evaluate(page, "() => window.jupyterapp.commands.execute('docmanager:save').then(() => true)")

    def close(self, page: Any) -> None:
        """Close the notebook in front without saving it, and end its kernel."""
        evaluate(
            page,
            """async () => {
              const widget = window.jupyterapp.shell.currentWidget;
              if (widget.sessionContext?.session) await widget.sessionContext.shutdown();
              widget.context.model.dirty = false;  // opening alone counts as a change, and would be asked about
              const gone = new Promise((done) => widget.disposed.connect(() => done(true)));
              widget.close();
              await gone;
            }""",
        )


def _environment(home: Path, every_cell: bool) -> dict[str, str]:
    settings = home / "settings" / "@jupyterlab"
    for name, values in {**_QUIET, **(_EVERY_CELL if every_cell else {})}.items():
        file = settings / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    profile = home / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n")
    own = {
        "HOME": home,
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
        "IPYTHONDIR": home / "ipython",
    }
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **{k: str(v) for k, v in own.items()}, "PYTHONPATH": path}


@contextlib.contextmanager
def jupyterlab(root: Path, home: Path, *, every_cell: bool = True) -> Iterator[Lab]:
    """A JupyterLab server over the folder ``root``, with ``home`` (an empty folder) for all it writes elsewhere.

    Args:
        root: what the server shows.
        home: for settings, kernels and logs.
        every_cell: keep cells below the fold in the document, where a test reaches them; False as users have it.

    Raises:
        RuntimeError: where it does not come up; the message ends with what it said.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", *options(root)]
    command += ["--allow-root", "--expose-app-in-browser", "--LabApp.news_url=None", "--ServerApp.log_level=WARN"]
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "server.log", "wb") as log:
        environment = _environment(home, every_cell)
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _await(process, f"http://127.0.0.1:{port}/api/status?token={token}", home / "server.log")
        yield Lab(port, token)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text(errors='replace')[-1500:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
