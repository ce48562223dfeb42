"""The commands ``vmlkit find`` and ``vmlkit toy-video``; what they do is imported when they run."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmlkit.cli.options import DEVICE_HELP
from vmlkit.errors import ConfigError, MissingDependency

if TYPE_CHECKING:
    from vmlkit.finding.finder import Finder
    from vmlkit.finding.moments import Source


def add_find_command(commands: Any) -> None:
    """Add ``find`` to the commands of an argument parser."""
    find = commands.add_parser(
        "find",
        help="find the moments of sentences in a file of video",
        description="Find when sentences happen in a video: ranked moments of a trained run beside those that need no "
        "training (windows whose frames fit the sentence), and a film strip with both. Without --run the tour's run "
        "answers, where it is there. The video is encoded once and kept by its content.",
        epilog='example: vmlkit find film.mp4 "the red circle slides to the left" --page film.html',
    )
    find.add_argument("video", type=Path, metavar="VIDEO")
    find.add_argument("sentences", nargs="*", metavar="SENTENCE", help="what happens, in quotation marks")
    asked = find.add_argument_group("who answers")
    asked.add_argument("--run", dest="of_run", type=Path, metavar="RUN_DIR", help="a trained run")
    help_checkpoint = "a released Moment-DETR or QD-DETR checkpoint file; needs --encoder"
    asked.add_argument("--checkpoint", type=Path, metavar="FILE", help=help_checkpoint)
    help_encoder = "a saved CLIP or SigLIP; default: the toy world's own encoder, which refuses other videos"
    asked.add_argument("--encoder", metavar="FOLDER", help=help_encoder)
    help_features = "features that lie ready, one folder a kind, in files named after the video"
    asked.add_argument("--features", nargs="+", default=[], metavar="FOLDER", help=help_features)
    help_actions = "list the actions that a run of an action method detects, instead of sentences"
    asked.add_argument("--actions", type=Path, metavar="RUN_DIR", help=help_actions)
    asked.add_argument("--top", type=int, default=5, metavar="N", help="most answers of each kind; default: 5")
    asked.add_argument("--device", default="auto", metavar="NAME", help=DEVICE_HELP)
    files = find.add_argument_group("files")
    help_strip = "film strip with the moments; default: VIDEO-moments.png in this folder"
    files.add_argument("--strip", type=Path, metavar="FILE.png", help=help_strip)
    help_page = "page with the video, moments to click and curves; opens without a network"
    files.add_argument("--page", type=Path, metavar="FILE.html", help=help_page)
    files.add_argument("--csv", type=Path, metavar="FILE", help="table of all answers")
    files.add_argument("--json", type=Path, metavar="FILE", help="all answers")
    files.add_argument("--srt", type=Path, metavar="FILE", help="subtitles: each sentence while its answer lasts")
    files.add_argument("--edl", type=Path, metavar="FILE", help="edit decision list (CMX 3600) of the answers")
    files.add_argument("--clips", type=Path, metavar="FOLDER", help="the answers cut out of the video")
    find.set_defaults(run=_find)


def add_toy_video_command(commands: Any) -> None:
    """Add ``toy-video`` to the commands of an argument parser."""
    toy = commands.add_parser(
        "toy-video",
        help="render a video of the toy world that no run has seen",
        description="Render a film of the toy world that is in no split, and write its sentences with their seconds "
        "beside it (FILE.json), so that answers can be checked.",
        epilog="example: vmlkit toy-video film.mp4 --seed 3 && vmlkit find film.mp4 'the star spins around'",
    )
    toy.add_argument("out", type=Path, metavar="FILE", help=".mp4 or .webm")
    toy.add_argument("--seed", type=int, default=0, metavar="N", help="which film; default: 0")
    toy.add_argument("--seconds", type=float, default=60.0, metavar="S", help="20 to 600; default: 60")
    toy.add_argument("--pixels", type=int, default=192, metavar="N", help="side of the pictures; default: 192")
    toy.add_argument("--rate", type=float, default=10.0, metavar="N", help="pictures a second; default: 10")
    help_codec = "vp9 (every browser of today) or h264 (also old players); default: vp9"
    toy.add_argument("--codec", choices=("vp9", "h264"), default="vp9", metavar="NAME", help=help_codec)
    toy.set_defaults(run=_toy_video)


def _toy_video(options: argparse.Namespace) -> int:
    from vmlkit.finding.toy_video import script_path, write_toy_video

    more = {"px": options.pixels, "rate": options.rate, "codec": options.codec}
    video = write_toy_video(options.out, options.seed, options.seconds, **more)
    for sentence in video.sentences:
        start, end = sentence.span_s
        print(f"{start:7.2f} – {end:7.2f}  {sentence.text}")
    print(f"{options.out}, {video.duration_s:g} s; its sentences: {script_path(options.out)}")
    return 0


def _find(options: argparse.Namespace) -> int:
    if options.actions is not None:
        return _find_actions(options)
    if not options.sentences:
        raise ConfigError("vmlkit find: no sentence was given: write what happens behind the video, in quotation marks")
    finder = _finder(options)
    video = finder.encode(options.video)
    answers = finder.ask_all(options.sentences, options.top)
    print(f"{options.video}: {video.info.duration_s:.1f} s, {len(video.rows)} rows of features")
    print(*answers, sep="\n\n")
    _write(options, video.info, answers)
    return 0


def _finder(options: argparse.Namespace) -> "Finder":
    from vmlkit.finding.finder import Finder, tour_run
    from vmlkit.finding.moments import SIMILARITY
    from vmlkit.video.toy_encoder import TOY

    run: Path | None = options.of_run
    first: Source | None = None
    alone = run is None and options.checkpoint is None and not options.features
    if alone and options.encoder in (None, TOY):
        run, first = tour_run(), SIMILARITY
        said = f"the tour's run answers ({run})" if run else "no run was given or made by `vmlkit tour`"
        print(f"vmlkit: {said}; similarity comes first, see docs/find.md.", file=sys.stderr)
    more = {"checkpoint": options.checkpoint, "encoder": options.encoder, "features": options.features}
    return Finder(run, **more, first=first, device=options.device)


def _write(options: argparse.Namespace, info: Any, answers: Any) -> None:
    from vmlkit.finding import exports

    video, written = options.video, list[Path]()
    writers = (
        (options.csv, lambda path: exports.write_csv(path, answers)),
        (options.json, lambda path: exports.write_answers_json(path, video, info, answers)),
        (options.srt, lambda path: exports.write_srt(path, answers)),
        (options.edl, lambda path: exports.write_edl(path, video, info, answers)),
    )
    for path, write in writers:
        if path is not None:
            write(path)
            written.append(path)
    if options.clips is not None:
        written += exports.cut_clips(options.clips, video, answers)
    written += _pictures(options, info, answers)
    print("\nwritten:", *written, sep="\n  ")


def _pictures(options: argparse.Namespace, info: Any, answers: Any) -> list[Path]:
    """The film strip and the page; without matplotlib nothing is drawn, which is said unless it was asked for."""
    from vmlkit.finding.page import write_page
    from vmlkit.finding.pictures import draw_answers

    strip = options.strip or Path(f"{options.video.stem}-moments.png")
    try:
        from vmlkit.viz.style import save_figure

        written = [save_figure(draw_answers(options.video, info, answers), strip)]
    except MissingDependency as error:
        if options.strip is not None:
            raise
        print(f"vmlkit: no film strip is drawn: {error}", file=sys.stderr)
        written = []
    return written if options.page is None else [*written, write_page(options.page, options.video, info, answers)]


def _find_actions(options: argparse.Namespace) -> int:
    from vmlkit.finding.actions import find_actions

    if options.sentences or options.of_run or options.checkpoint:
        raise ConfigError("vmlkit find: --actions lists actions: leave sentences, --run and --checkpoint out")
    found = find_actions(options.video, options.actions, options.top, encoder=options.encoder, device=options.device)
    print(found)
    return 0
