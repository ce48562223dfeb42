"""Weakly supervised video-language localisation: five papers, one package.

``import vmlkit as vk`` gives what a first cell needs; each name is imported from its own module when it is first used::

    experiment = vk.with_overrides(vk.preset("cpl", "toy", "ci"), {"train.seed": 1})
    run = vk.run_experiment(experiment, "runs/first")
    vk.scrubber(run)
"""

import importlib
from typing import Any

__version__ = "0.2.0"

#: name -> the module that defines it
_HOMES = {
    "METHODS": "vmlkit.methods",
    "STUDIES": "vmlkit.methods",
    "preset": "vmlkit.methods",
    "with_overrides": "vmlkit.config",
    "load": "vmlkit.data.sources",
    "build": "vmlkit.experiments.experiment",
    "run_experiment": "vmlkit.experiments.experiment",
    "ask_run": "vmlkit.finding.asking",
    "train_live": "vmlkit.experiments.live",
    "load_run": "vmlkit.experiments.experiment",
    "open_page": "vmlkit.experiments.page",
    "Exercises": "vmlkit.experiments.exercises",
    "import_checkpoint": "vmlkit.experiments.importing",
    "load_results": "vmlkit.studies.results",
    "show_study": "vmlkit.studies.pages",
    "show_studies": "vmlkit.studies.pages",
    "RunDirectory": "vmlkit.runs",
    "scrubber": "vmlkit.viz.scrubber",
    "pick_run": "vmlkit.viz.run_picker",
    "save_html": "vmlkit.viz.scrubber",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vmlkit' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
