"""The command ``vmlkit predict`` and its options; what it does is imported when it runs."""

import argparse
from pathlib import Path
from typing import Any

SPLITS = ("test", "validation", "train")


def add_predict_command(commands: Any) -> None:
    """Add ``predict`` to the commands of an argument parser."""
    predict = commands.add_parser("predict", help="write what a run answers, as a file of predicted windows")
    predict.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    predict.add_argument("--split", choices=SPLITS, default="test", metavar="NAME", help="%(choices)s; default: test")
    predict.add_argument("--out", type=Path, metavar="FILE", help="may end in .gz; default: in RUN_DIR")
    help_clip = "round windows to whole clips, as the released programs do (2 on QVHighlights, 1 on Charades)"
    predict.add_argument("--clip-length", type=float, metavar="SECONDS", help=help_clip)
    predict.add_argument(
        "--nms", type=float, metavar="IOU", help="of the first ten, drop a worse window above this IoU"
    )
    predict.set_defaults(run=_predict)


def _predict(options: argparse.Namespace) -> int:
    from vmlkit.experiments.predict import predict_run

    path, count = predict_run(options.run_dir, options.split, options.out, clip_s=options.clip_length, nms=options.nms)
    print(f"{count} queries of the {options.split} split: {path}")
    return 0
