"""``vmlkit data check | pack | convert``: the files of a data set, before training."""

import argparse
import sys
from pathlib import Path
from typing import Any

from vmlkit.cli.options import DATA, SIZES, parse_settings
from vmlkit.errors import ConfigError


def add_data_command(commands: Any) -> None:
    """Add the group ``data`` to the commands of an argument parser."""
    data = commands.add_parser("data", help="check, pack or convert the files of a data set")
    group = data.add_subparsers(title="what to do", required=True, metavar="WHAT")
    for add in (_check_options, _pack_options, _convert_options):
        add(group).add_argument("--debug", action="store_true", help="show the traceback of an error",
                                default=argparse.SUPPRESS)  # fmt: skip


def _check_options(group: Any) -> Any:
    check = group.add_parser(
        "check",
        help="say what is missing, broken, odd or in two splits, and what location priors reach",
        description="Check annotations and features of a source as they lie there, and as training would load them. "
        "Exit code 0: nothing damages training; 1: something does; 2: they cannot be read. "
        "Example: vmlkit data check charades --annotations charades_sta --features i3d.hdf5",
    )
    _source_options(check, "default: ci for toy and planted data, else paper")
    check.add_argument("--json", type=Path, metavar="OUT", help="write every finding and number")
    check.set_defaults(run=_check)
    return check


def _pack_options(group: Any) -> Any:
    pack = group.add_parser(
        "pack",
        help="write features into one file that is mapped into memory",
        description="Write the features of all annotated videos into one file in float16, resampled once to the clips "
        "of the settings (sources of actions and of the DETR family keep their rows). Give it as --features to train. "
        "Example: vmlkit data pack charades --features i3d.hdf5 --out i3d-200.safetensors",
    )
    _source_options(pack, "whose number of clips counts; default: paper")
    pack.add_argument("--out", type=Path, required=True, metavar="FILE", help="such as charades-i3d.safetensors")
    pack.add_argument("--clips", type=int, metavar="N", help="clips a video (sets data.clips)")
    pack.add_argument("--keep-rows", action="store_true", help="do not resample")
    pack.add_argument("--dtype", choices=("float16", "float32"), default="float16", help="default: float16")
    help_near = "write features whose name differs by a prefix, an ending or upper case under the annotations' id"
    pack.add_argument("--near-names", action="store_true", help=help_near)
    pack.set_defaults(run=_pack)
    return pack


def _convert_options(group: Any) -> Any:
    convert = group.add_parser(
        "convert",
        help="write annotations of another project in a layout that is read",
        description="Recognise the layout of an annotation file by its shape (ActivityNet Captions, 2D-TAN, VSLNet, "
        "LGI, TACoS, DiDeMo, TVR, Ego4D, TimeLens, YouCook2) and write it as JSON lines of Moment-DETR (.jsonl) or as "
        "the list of CNM, CPL and PPS (.json). Example: vmlkit data convert val_1.json --out val_1.jsonl",
    )
    convert.add_argument("file", type=Path, metavar="FILE")
    convert.add_argument("--out", type=Path, required=True, metavar="OUT", help="ends in .jsonl or .json, also .gz")
    convert.set_defaults(run=_convert)
    return convert


def _source_options(command: Any, size: str) -> None:
    command.add_argument("source", choices=DATA, metavar="SOURCE", help="%(choices)s")
    command.add_argument("--annotations", metavar="PATH", help="annotation files (sets data.annotations)")
    command.add_argument("--features", metavar="PATH", help="clip features (sets data.features)")
    command.add_argument("--size", choices=SIZES, metavar="SIZE", help=f"%(choices)s; {size}")
    help_set = "a setting of the data by its dotted name, such as data.feature_dataset=rgb; may be repeated"
    command.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help=help_set)
    command.add_argument("--quiet", action="store_true", help="no progress bar")


def _given(options: argparse.Namespace) -> dict[str, Any]:
    named = {"data.annotations": options.annotations, "data.features": options.features}
    named["data.clips"] = getattr(options, "clips", None)
    settings = parse_settings(options.settings)
    if wrong := [key for key in settings if not key.startswith("data.")]:
        raise ConfigError(f"--set takes settings of the data here, such as data.clips=64, not '{wrong[0]}'")
    return {key: value for key, value in named.items() if value is not None} | settings


def _check(options: argparse.Namespace) -> int:
    from vmlkit.experiments.data_check import check_data
    from vmlkit.files import write_json

    report = check_data(options.source, _given(options), size=options.size, progress=not options.quiet)
    if options.json is not None:
        write_json(options.json, report.record())
    print(report)
    return 1 if report.damaged else 0


def _pack(options: argparse.Namespace) -> int:
    from vmlkit.experiments.data_files import pack_source

    choices = {"keep_rows": options.keep_rows, "dtype": options.dtype, "near": options.near_names}
    size, progress = options.size or "paper", not options.quiet
    written, *rest = pack_source(options.source, options.out, _given(options), size=size, progress=progress, **choices)
    print(written)
    for line in rest:
        print(line, file=sys.stderr)
    return 0


def _convert(options: argparse.Namespace) -> int:
    from vmlkit.experiments.data_files import convert_annotations

    print(convert_annotations(options.file, options.out))
    return 0
