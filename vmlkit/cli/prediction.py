"""The command ``vmlkit predict`` and its options; what it does is imported when it runs."""

import argparse
from pathlib import Path
from typing import Any

from vmlkit.cli.options import DEVICE_HELP

SPLITS = ("test", "validation", "train")


def add_predict_command(commands: Any) -> None:
    """Add ``predict`` to the commands of an argument parser."""
    predict = commands.add_parser(
        "predict",
        help="write what a run answers, as a file of predictions",
        description="Write the answers of a run's chosen epoch: windows and clip scores (Moment-DETR's JSON lines), "
        "detected actions (.json is ActivityNet's layout) or rankings of videos. The run's own numbers follow from the "
        "file (vmlkit evaluate FILE --run RUN_DIR) unless an option below changes it.",
        epilog="example: vmlkit predict runs/qd-detr-toy-ci-seed0 --out predictions.jsonl --nms 0.7",
    )
    predict.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    predict.add_argument("--split", choices=SPLITS, default="test", metavar="NAME", help="%(choices)s; default: test")
    help_out = ".jsonl or .csv, of actions also .json; may end in .gz; default: predictions-NAME.jsonl in RUN_DIR"
    predict.add_argument("--out", type=Path, metavar="FILE", help=help_out)
    help_clip = "round windows to whole clips, as the released programs do (2 on QVHighlights, 1 on Charades)"
    predict.add_argument("--clip-length", type=float, metavar="SECONDS", help=help_clip)
    help_nms = "drop worse answers above this IoU: of the first ten windows, or within a class of actions"
    predict.add_argument("--nms", type=float, metavar="IOU", help=help_nms)
    help_top = "keep the best N windows or videos of a query, or detections of a video"
    predict.add_argument("--top", type=int, metavar="N", help=help_top)
    predict.add_argument("--device", default="auto", metavar="NAME", help=DEVICE_HELP)
    predict.set_defaults(run=_predict)


def _predict(options: argparse.Namespace) -> int:
    from vmlkit.experiments.predict import predict_run
    from vmlkit.experiments.prediction_files import Changes

    changes = Changes(clip_length=options.clip_length, nms=options.nms, top=options.top)
    path, count = predict_run(options.run_dir, options.split, options.out, changes, device=options.device)
    print(f"{count} queries of the {options.split} split: {path}")
    return 0
