"""``vmlkit negatives | labels``: what is reported without a run directory."""

import argparse
from pathlib import Path
from typing import Any


def add_negatives_command(commands: Any) -> None:
    """Add ``negatives`` to the commands of an argument parser."""
    negatives = commands.add_parser("negatives", help="which queries of a file can serve as negatives of which")
    negatives.add_argument("annotations", type=Path, nargs="+", metavar="FILE", help="in the Moment-DETR layout")
    negatives.add_argument("--encoder", type=Path, metavar="DIR", help="a local sentence encoder (default: TF-IDF)")
    negatives.add_argument("--max-iou", type=float, default=0.5, metavar="X", help="default: 0.5, the paper's")
    negatives.add_argument("--max-similarity", type=float, default=0.8, metavar="X", help="default: 0.8")
    negatives.add_argument("--out", type=Path, metavar="OUT", help="write the file with neg_query_ids filled in")
    negatives.add_argument("--json", type=Path, metavar="OUT", help="write the numbers")
    negatives.set_defaults(run=_negatives)


def _negatives(options: argparse.Namespace) -> int:
    from vmlkit.detr.negative_queries_report import negatives_of_files

    limits = options.max_iou, options.max_similarity
    print(negatives_of_files(options.annotations, options.encoder, *limits, options.out, options.json))
    return 0


def add_labels_command(commands: Any) -> None:
    """Add ``labels`` to the commands of an argument parser."""
    labels = commands.add_parser("labels", help="count what is wrong with the labels of an action data set")
    labels.add_argument("path", type=Path, metavar="PATH", help="annotation file, or the folder of the .npy files")
    labels.set_defaults(run=_labels)


def _labels(options: argparse.Namespace) -> int:
    from vmlkit.actions.label_report import label_report
    from vmlkit.actions.thumos import read_actions

    print(label_report(read_actions(options.path)))
    return 0
