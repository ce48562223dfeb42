"""What several commands share: the names that an option takes, and an experiment from the options of a command."""

import argparse
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from vmlkit.config import config_hash, with_overrides
from vmlkit.errors import ConfigError
from vmlkit.files.records import shown

if TYPE_CHECKING:
    from vmlkit.training.experiment import Experiment


class Names:
    """The names that an option takes, read where they are defined, and only when the option is given or explained."""

    def __init__(self, module: str, names: str, *, checked: bool = True) -> None:
        self.module, self.names, self.checked = module, names, checked

    def __iter__(self) -> Iterator[str]:
        defined = getattr(importlib.import_module(self.module), self.names)
        return iter(get_args(defined) or defined)

    def __contains__(self, name: object) -> bool:
        return not self.checked or name in tuple(self)


METHODS = Names("vmlkit.methods", "METHODS", checked=False)  # preset() refuses an unknown one in a sentence
DATA = Names("vmlkit.methods", "DATA")
SIZES = Names("vmlkit.training.experiment", "Size")

#: of ``--device``, where a trained method answers
DEVICE_HELP = "such as cpu or cuda; default: auto, which is $VMLKIT_DEVICE, else a card where there is one"
#: what to do after Ctrl-C
AGAIN = "the same command goes on from {}"


def add_experiment_options(command: Any, size: str) -> None:
    """The options that name an experiment: data, files, size, seed, any setting."""
    help_data = "%(choices)s, as far as the method has a preset for it; default: toy, which needs no download"
    command.add_argument("--data", choices=DATA, default="toy", metavar="DATA", help=help_data)
    command.add_argument("--annotations", metavar="PATH", help="annotation files (sets data.annotations)")
    command.add_argument("--features", metavar="PATH", help="clip features (sets data.features)")
    help_size = f"%(choices)s; default: {size}; ci takes a minute on two cores"
    command.add_argument("--size", choices=SIZES, default=size, metavar="SIZE", help=help_size)
    help_variant = "named changes of the preset: follow-sentences of cpl and lnp-cpl, equations-as-written of bm-detr"
    command.add_argument("--variant", metavar="NAME", help=help_variant)
    command.add_argument("--seed", type=int, metavar="N", help="sets train.seed")
    command.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting by its dotted name, such as train.epochs=3 or model.proposals=5; may be repeated",
    )


def add_measuring_options(command: Any, unit: str, dirty: str) -> None:
    """The options of a command that measures rows with seeds by the runner of studies.

    Args:
        unit: what is begun and kept, such as ``cell``.
        dirty: where it is said that files of the package were changed.
    """
    help_jobs = "processes of one thread each; on a card, runs that share one process; default: 1"
    command.add_argument("--jobs", type=int, default=1, metavar="K", help=help_jobs)
    command.add_argument("--device", default="auto", metavar="DEVICE", help="such as cpu or cuda; default: auto")
    help_minutes = f"begin no {unit} that would not end by then, and stop with everything kept"
    command.add_argument("--minutes", type=float, metavar="M", help=help_minutes)
    help_dirty = f"measure although files of the package differ from its git revision; {dirty}"
    command.add_argument("--allow-dirty", action="store_true", help=help_dirty)


def experiment_from(options: argparse.Namespace, release: Mapping[str, Any] | None = None) -> "Experiment":
    """The preset and its variant with the overrides of the command line, in the order: release, paths, seed, ``--set``.

    Raises:
        ConfigError: for an unknown name or setting, a file that the source does not read, or a value of the wrong type.
    """
    from vmlkit.methods import preset

    experiment = preset(options.method, options.data, options.size, options.variant)
    named = {"data.annotations": options.annotations, "data.features": options.features, "train.seed": options.seed}
    given = {key: value for key, value in named.items() if value is not None}
    for name in ("annotations", "features"):
        if f"data.{name}" in given and not hasattr(experiment.data, name):
            raise ConfigError(f"the data '{options.data}' read no {name} from files: leave out --{name}")
    return with_overrides(experiment, {**(release or {}), **given, **parse_settings(options.settings)})


def parse_settings(items: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` items as a dict; a value is read as JSON, and as a plain string where it is not JSON.

    >>> parse_settings(["train.epochs=3", "train.clip_norm=null", "train.device=cpu"])
    {'train.epochs': 3, 'train.clip_norm': None, 'train.device': 'cpu'}
    """
    parsed: dict[str, Any] = {}
    for item in items:
        key, sign, text = item.partition("=")
        if not sign or not key:
            raise ConfigError(f"--set takes KEY=VALUE, such as train.epochs=3, not {shown(item)}")
        try:
            parsed[key] = json.loads(text)
        except (ValueError, RecursionError):
            parsed[key] = text
    return parsed


def default_run_dir(options: argparse.Namespace, experiment: "Experiment") -> Path:
    """``runs/METHOD-DATA-SIZE-seedN``, with a hash of the settings where some were changed by hand."""
    parts = [experiment.method, options.data.replace(":", "_"), options.size, f"seed{experiment.train.seed}"]
    changed = options.settings or options.annotations or options.features or options.variant
    return Path("runs", "-".join([*parts, config_hash(experiment)] if changed else parts))
