"""The options of ``vmlkit variants``; what it does is imported when it runs."""

import argparse
from pathlib import Path
from typing import Any

GENERATORS = ("rules", "openai", "local", "completion")


def add_variants_command(commands: Any) -> None:
    """The options of ``vmlkit variants``."""
    command = commands.add_parser(
        "variants",
        help="write hard negatives and a paraphrase for every sentence",
        description="Write negated, changed and rephrased variants of every sentence (P4). The rules need no network. "
        "A language model is asked only where --base-url or --folder says so. The same command continues an "
        "interrupted run and asks for nothing twice.",
        epilog="example: vmlkit variants captions.txt --out v.jsonl --generator completion --folder gemma.gguf",
    )
    command.add_argument("sentences", type=Path, metavar="SENTENCES", help="file of sentences, or a folder of MSVD")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON lines, one per variant")
    command.add_argument("--generator", choices=GENERATORS, default="rules", help="default: rules")
    command.add_argument(
        "--format", metavar="LAYOUT", help="charades, moments, jsonl, msvd or text (default: by the name of SENTENCES)"
    )
    command.add_argument("--split", choices=("train", "val", "test"), default="train", help="list of an MSVD folder")
    command.add_argument("--limit", type=int, metavar="N", help="the first N sentences only")
    command.add_argument("--components", nargs="+", metavar="NAME", help="such as negated_verb (default: all)")
    help_again = "how often an answer that a check refused is asked for again; default: 2"
    command.add_argument("--ask-again", type=int, default=2, metavar="N", help=help_again)
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    _endpoint_options(command.add_argument_group("a language model behind an endpoint (--generator openai)"))
    local = command.add_argument_group("a language model in this process (--generator local, completion)")
    help_folder = "of a model for transformers, for completion also one that was not trained for chat, or a .gguf file"
    local.add_argument("--folder", type=Path, metavar="PATH", help=help_folder)
    local.add_argument("--device", default="cpu", help="default: cpu")
    help_temperature = "of what is drawn after a refused completion; 0 draws nothing; default: 0.8"
    local.add_argument("--temperature", type=float, metavar="T", help=help_temperature)
    local.add_argument("--seed", type=int, metavar="N", help="of a completion's draws; default: 0")
    command.set_defaults(run=_run, stopped="the same command goes on where it was and asks for nothing twice")


def _endpoint_options(group: Any) -> None:
    group.add_argument("--base-url", metavar="URL", help="such as http://localhost:8000/v1; the sentences go there")
    group.add_argument("--model", metavar="NAME", help="as the endpoint calls it")
    group.add_argument("--api-key-env", metavar="NAME", help="environment variable that holds the key to send")
    group.add_argument("--no-schema", action="store_true", help="for servers that do not know JSON schemas")
    group.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for one answer; default: 60")
    group.add_argument("--retries", type=int, default=5, metavar="N", help="of a request that failed; default: 5")
    group.add_argument("--workers", type=int, default=1, metavar="N", help="sentences asked at once; default: 1")
    group.add_argument("--cache", type=Path, metavar="FILE", help="answers by SQLite; default: OUT.cache.sqlite")


def _run(options: argparse.Namespace) -> int:
    from vmlkit.components.variants.command import run_variants

    return run_variants(options)
