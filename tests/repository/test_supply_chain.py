"""What is fetched is what was tested: a lock with hashes, workflows of pinned actions and few rights, a closed lab."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.utils import canonicalize_name

from tests.repository.test_environment import EXTRAS, ROOT, make_default, pins, requirements
from tools import bootstrap, lab

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCK = (ROOT / "lock.txt").read_text(encoding="utf-8")
EVERY = sorted(set(EXTRAS) - {"all", "small-llm"})
GROUPS = bootstrap.locked(LOCK, EVERY)


def pinned(lines: str) -> tuple[str, str, str]:
    """Name, version and marker of a block."""
    match = re.match(r"([\w.-]+)==([\w.]+)(?: ; ([^\\]+?))?(?= \\| --hash|$)", lines)
    assert match, lines[:80]
    return match[1], match[2], (match[3] or "").strip()


def test_the_lock_has_the_versions_of_the_constraints_and_a_hash_for_each() -> None:
    known = pins()
    for name, (_, lines) in GROUPS.items():
        assert pinned(lines)[0] == name
        assert canonicalize_name(name) not in known or str(known[canonicalize_name(name)]) == pinned(lines)[1], name
        hashes = re.findall(r"--hash=(\S+)", lines)
        assert hashes, name
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), name
    asked = {canonicalize_name(r.name) for group, r in requirements() if group in ("dependencies", *EVERY)}
    assert asked <= GROUPS.keys()
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links", LOCK), "whoever installs says from where"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_every_requirement_is_in_the_lock_on_every_system(python: str, system: str) -> None:
    place = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": system,
             "os_name": "nt" if system == "win32" else "posix", "implementation_name": "cpython",
             "platform_machine": "x86_64", "platform_python_implementation": "CPython"}  # fmt: skip
    here = {n for n, (_, lines) in GROUPS.items() if not (m := pinned(lines)[2]) or Marker(m).evaluate(place)}
    project = [text for name in ("test", "notebooks", "text", "video", "cluster") for text in EXTRAS[name]]
    wanted = {canonicalize_name(re.match(r"[\w.-]+", text)[0]) for text in project} | {"torch", "numpy", "pandas"}
    assert wanted <= here
    assert ("triton" in here) == (system == "linux")


def test_a_group_is_what_its_extra_needs() -> None:
    small = bootstrap.locked(LOCK, ["cluster"])
    assert {"torch", "submitit", "setuptools", "triton"} <= small.keys()
    assert not {"jupyterlab", "pytest", "transformers"} & small.keys()
    assert [groups for name, (groups, _) in small.items() if name.startswith("nvidia-")] != []
    with pytest.raises(bootstrap.Failed, match="no extra 'small-llm', only cluster, gguf, llm"):
        bootstrap.locked(LOCK, ["small-llm"])


def test_make_installs_with_hashes_unless_other_versions_are_asked_for() -> None:
    assert make_default("LOCK") == "$(if $(filter constraints.txt,$(CONSTRAINTS)),lock.txt)"
    assert '--lock "$(LOCK)"' in (ROOT / "Makefile").read_text()


class Options:
    """Those of the installer."""

    def __init__(self, venv: Path, **more: str) -> None:
        given = {"lock": str(ROOT / "lock.txt"), "extras": "test", "constraints": "constraints.txt", "pip_args": ""}
        self.venv = venv
        vars(self).update(given | more)


def test_everything_is_installed_with_hashes_and_the_package_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = re.findall(r"--hash=sha256:(\S+)", GROUPS["torch"][1])[0]
    monkeypatch.setattr(bootstrap, "chosen_file", lambda *_: chosen)
    for gpu in (True, False):
        monkeypatch.setattr(bootstrap, "torch_needs", lambda *_, gpu=gpu: gpu)
        *fetched, (_, last) = bootstrap.commands(Path("p"), Options(tmp_path))
        assert len(fetched) == 1 + gpu
        for _, command in fetched:
            assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(command)
        assert {"--no-index", "--no-build-isolation", "-e"} <= set(last)
    text = (tmp_path / "locked.txt").read_text()
    assert f"torch==2.13.0 --hash=sha256:{chosen}\n" in text
    assert "triton" not in text
    assert "triton" in (tmp_path / "locked-gpu.txt").read_text()


def test_only_another_build_of_torch_comes_without_a_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "chosen_file", lambda *_: "0" * 64)
    (_, first), (said, second) = bootstrap.commands(Path("p"), Options(tmp_path, pip_args="--extra-index-url x"))
    assert "--require-hashes" in first
    assert "torch==" not in (tmp_path / "locked.txt").read_text()
    assert "whose hash lock.txt does not know" in said
    assert second == bootstrap.pip_command(Path("p"), "test", "constraints.txt", "--extra-index-url x")
    ((_, usual),) = bootstrap.commands(Path("p"), Options(tmp_path, lock="", constraints=""))
    assert "--require-hashes" not in usual


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_uses_pinned_actions_and_few_rights(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    uses = re.findall(r"uses: *(\S+)(.*)", text)
    assert uses
    for action, said in uses:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", action), f"{action}: name the commit of a release"
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", said), f"{action}: say which release the commit is"
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        more = set(job.get("permissions", {}).items()) - {("contents", "read")}
        assert not more or (path.stem, name) == ("book", "deploy"), f"{name} asks for {more}"
    for step in steps(workflow):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        assert "github.event." not in step.get("run", ""), "text of strangers must not become a command"
    assert "pull_request_target" not in text
    assert "secrets." not in text


def test_the_lab_listens_on_this_machine_and_asks_for_its_token() -> None:
    told = lab.options(ROOT)
    assert "--ServerApp.ip=127.0.0.1" in told
    assert not any("token" in option or "password" in option or "allow_origin" in option for option in told)
