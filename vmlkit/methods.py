"""Every method, preset and study by name: the families' own tables, merged."""

import dataclasses
from typing import get_args

from vmlkit.actions import methods as actions
from vmlkit.actions import studies as action_studies
from vmlkit.components import methods as components
from vmlkit.components import studies as component_studies
from vmlkit.detr import methods as detr
from vmlkit.detr import studies as detr_studies
from vmlkit.errors import ConfigError
from vmlkit.reconstruction import methods as reconstruction
from vmlkit.reconstruction import studies as reconstruction_studies
from vmlkit.training.experiment import Experiment, MethodEntry, Size

#: the one place where a method is found by name
METHODS: dict[str, MethodEntry] = {
    **reconstruction.METHODS,
    **detr.METHODS,
    **actions.METHODS,
    **components.METHODS,
}
#: the data for which some method has a preset
DATA = tuple(dict.fromkeys(data for entry in METHODS.values() for data in entry.presets))
#: the one place where a study is found by name
STUDIES = {
    **reconstruction_studies.STUDIES,
    **action_studies.STUDIES,
    **detr_studies.STUDIES,
    **component_studies.STUDIES,
}


def preset(method: str, data: str = "toy", size: str = "ci", variant: str | None = None) -> Experiment:
    """The experiment of a method on a data source at a size.

    Args:
        variant: a named change of the method's settings, such as ``follow-sentences`` of P0 on CPL.

    Raises:
        ConfigError: for an unknown name, or data on which the method has no preset.
    """
    if method not in METHODS:
        raise ConfigError(f"unknown method '{method}': choose one of {', '.join(METHODS)}")
    if size not in get_args(Size):
        raise ConfigError(f"unknown size '{size}': choose one of {', '.join(get_args(Size))}")
    makers = METHODS[method].presets
    if data not in makers:
        raise ConfigError(f"'{method}' has no preset for the data '{data}': choose one of {', '.join(makers)}")
    experiment = makers[data](method, size)  # type: ignore[arg-type]
    if variant is None:
        return experiment
    variants = METHODS[method].variants
    if variant not in variants:
        choice = f"choose one of {', '.join(variants)}" if variants else "leave it out"
        raise ConfigError(f"'{method}' has no variant '{variant}': {choice}")
    return dataclasses.replace(experiment, model=variants[variant](experiment.model))
