"""The command ``vmlkit extract``: features of the videos of a folder."""

import argparse
import sys
from pathlib import Path
from typing import Any


def add_extract_command(commands: Any) -> None:
    """Add ``extract`` to the commands of an argument parser."""
    extract = commands.add_parser(
        "extract",
        help="encode the videos of a folder as features that training reads",
        description="Encode every video of a folder (and of those in it) as rows of features, NAME.npy each, with a "
        "passport.json that says which encoder made them and how. The same command goes on where it was interrupted. "
        "Exit code 0: every video has its features; 1: some were left out, and are named.",
        epilog="example: vmlkit extract videos --encoder models/clip-vit-base-patch32 --out features/clip",
    )
    extract.add_argument("folder", type=Path, metavar="FOLDER", help="of files such as .mp4, .webm, .mkv, .mov, .avi")
    help_encoder = (
        "folder of a saved CLIP, SigLIP or any backbone of transformers or timm; or a name on the hub; default: toy, "
        "which needs no files and knows the toy world alone"
    )
    extract.add_argument("--encoder", default="toy", metavar="DIR", help=help_encoder)
    extract.add_argument("--out", type=Path, required=True, metavar="STORE", help="folder of the features")
    extract.add_argument("--rate", type=float, metavar="HZ", help="rows a second; default: 0.5, of the toy encoder 2")
    help_norm = "l2 makes every row one long; default: none, as published features are"
    extract.add_argument("--norm", choices=("none", "l2"), default="none", help=help_norm)
    extract.add_argument("--jobs", type=int, metavar="K", help="processes; default: one for each processor")
    extract.add_argument("--device", metavar="NAME", help="such as cpu or cuda; default: a card where there is one")
    extract.add_argument("--quiet", action="store_true", help="no progress bar")
    extract.set_defaults(run=_extract, stopped="the same command goes on from the videos that are encoded")


def _extract(options: argparse.Namespace) -> int:
    from vmlkit.video.extract import extract

    settings = {"rate": options.rate, "norm": options.norm, "device": options.device}
    result = extract(
        options.folder, options.encoder, options.out, jobs=options.jobs, settings=settings, progress=not options.quiet
    )
    first, *rest = str(result).splitlines()
    print(first)
    for line in rest:
        print(line, file=sys.stderr)
    return 1 if result.left_out else 0
