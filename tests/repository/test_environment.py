"""The five places that say what vmlkit needs (pyproject, constraints, conda, make, workflow) say the same."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.oldest import bounds as oldest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pins() -> dict[str, Version]:
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        text = line.split("#")[0].strip()
        if text:
            name, version = text.split("==")
            assert canonicalize_name(name) not in found, f"constraints.txt pins {name} twice"
            found[canonicalize_name(name)] = Version(version)
    return found


def requirements() -> list[tuple[str, Requirement]]:
    groups = {"dependencies": PROJECT["dependencies"], **{k: v for k, v in EXTRAS.items() if k != "all"}}
    return [(group, Requirement(text)) for group, texts in groups.items() for text in texts]


@pytest.mark.parametrize(("group", "requirement"), requirements(), ids=lambda x: str(x))
def test_every_requirement_has_a_pin_within_its_bounds(group: str, requirement: Requirement) -> None:
    pinned = pins().get(canonicalize_name(requirement.name))
    assert pinned is not None, f"{requirement} of [{group}] has no pin in constraints.txt"
    assert pinned in requirement.specifier, (
        f"constraints.txt pins {requirement.name}=={pinned}, [{group}] asks {requirement}"
    )
    assert any(s.operator == ">=" for s in requirement.specifier), f"{requirement} of [{group}] has no lower bound"
    assert not any(s.operator in {"==", "~="} for s in requirement.specifier), (
        f"{requirement}: pins are for constraints.txt"
    )


def test_pins_are_public_versions_and_hold_the_tested_torch() -> None:
    local = [name for name, version in pins().items() if version.local]
    assert not local, f"builds for one kind of hardware must not be pinned: {local}"
    assert pins()["torch"] == Version("2.13.0")


def test_all_is_the_union_of_the_extras() -> None:
    (entry,) = EXTRAS["all"]
    # the weights of a language model have a licence of their own and 240 MB
    assert Requirement(entry).extras == set(EXTRAS) - {"all", "small-llm"}


def test_conda_brings_python_and_leaves_packages_to_the_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["channels"] == ["conda-forge"]
    conda = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    names = {re.split(r"[=<>]", entry)[0] for entry in conda}
    assert {"python", "pip", "git"} <= names
    python = next(entry.split("=")[1] for entry in conda if entry.startswith("python="))
    assert f"{python}.0" in SpecifierSet(PROJECT["requires-python"])
    assert not names & set(pins()), "a package is brought by conda and pinned for pip"
    assert pip[0] == "-c constraints.txt"
    assert pip[1:] == [f"-e .[{make_default('EXTRAS')}]"]


def make_default(name: str) -> str:
    match = re.search(rf"^{name}\s*\?= *(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert match, f"the Makefile does not set {name}"
    return match.group(1)


def test_make_installs_extras_that_exist_from_the_pins() -> None:
    assert set(make_default("EXTRAS").split(",")) <= set(EXTRAS)
    assert make_default("CONSTRAINTS") == "constraints.txt"


def test_workflow_runs_the_same_script_on_the_supported_pythons() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    versions = workflow["jobs"]["pinned"]["strategy"]["matrix"]["python"]
    classified = {c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", c)}
    assert set(versions) == classified
    assert all(f"{version}.0" in SpecifierSet(PROJECT["requires-python"]) for version in versions)
    for name, job in workflow["jobs"].items():
        if name == "systems":  # they have no make
            assert {s.partition("-")[0] for s in job["strategy"]["matrix"]["system"]} == {"macos", "windows"}
            assert any(" -m pytest " in step.get("run", "") for step in job["steps"])
        else:
            assert {"run": ".ci/run"} in job["steps"], f"the job '{name}' does not call .ci/run"


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    bounds = dict(line.split("==") for line in oldest().splitlines())
    assert bounds["torch"] == "2.9"
    assert set(bounds) == {canonicalize_name(requirement.name) for _, requirement in requirements()}
    wanted: dict[str, list[Requirement]] = {}
    for _, requirement in requirements():
        wanted.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    for name, asked in wanted.items():
        assert all(Version(bounds[name]) in requirement.specifier for requirement in asked), name


def test_the_book_is_published_with_no_more_rights_than_it_needs() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/book.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in workflow["jobs"]["build"]
    assert workflow["jobs"]["deploy"]["permissions"] == {"pages": "write", "id-token": "write"}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(re.fullmatch(r"actions/[\w-]+@(v\d+|[0-9a-f]{40})", s["uses"]) for s in steps if "uses" in s)
    runs = [step["run"] for step in steps if "run" in step]
    assert runs == ["make install", '.venv/bin/python -m tools.pages site --repository "$GITHUB_REPOSITORY"']


def test_the_development_container_installs_by_a_command_that_exists() -> None:
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    program, target = container["postCreateCommand"].split()
    assert program == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    python = container["image"].rpartition(":")[2]
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert interpreter.endswith(f"/{make_default('VENV')}/bin/python")


def test_ci_script_is_executable() -> None:
    assert (ROOT / ".ci/run").stat().st_mode & 0o111


def test_the_citation_agrees_with_the_project() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    archive = json.loads((ROOT / ".zenodo.json").read_text())
    assert (archive["version"], archive["license"]) == (PROJECT["version"], PROJECT["license"])
    assert archive["title"] == citation["title"]
    assert f"\n## {PROJECT['version']}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    titles = " ".join(reference["title"] for reference in citation["references"])
    for phrase in (
        "Dual-Signed Cross-Entropy",
        "Contrastive Negative Sample Mining",
        "Background-aware Moment Detection",
        "with Text Information",
        "Sentence Component Analysis",
    ):
        assert phrase in titles
    assert all(reference["authors"] and reference["year"] for reference in citation["references"])


def test_the_package_states_the_version_of_the_project() -> None:
    import vmlkit

    assert vmlkit.__version__ == PROJECT["version"]
