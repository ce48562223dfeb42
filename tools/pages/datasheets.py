"""The generated parts of the data sheets: what the toy world holds, counted, and the settings of planted features."""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tools.pages.readme import updated
from vmlkit.data import planted
from vmlkit.data.planted import PlantedConfig
from vmlkit.data.toyworld import ACTIONS, ACTORS, ToyConfig, ToyVideo, toy_videos
from vmlkit.data.toyworld.lexicon import LEXICON
from vmlkit.viz.notebook import markdown_table

SPLITS = ("train", "validation", "test")


def toy(text: str) -> str:
    """The page about the toy world with its counts as the code makes them now."""
    config = ToyConfig()
    videos = {split: toy_videos(config, split) for split in SPLITS}
    rows = [(split, *_counts(found)) for split, found in videos.items()]
    head = ["split", "videos", "sentences", "seconds of a video", "seconds of a moment", "share of the video", "words"]
    facts = [
        ("actions", len(ACTIONS)),
        ("actors (a colour and a shape)", len(ACTORS)),
        ("words in the lexicon", len(LEXICON)),
        ("clips of a video (T)", config.clips),
        ("numbers of a clip", config.feature_dim),
        ("videos in two splits", _shared(videos)),
    ]
    uses = Counter(sentence.action_id for v in videos["train"] for sentence in v.sentences)
    facts.append(("sentences of the rarest and of the commonest action (training)", _ends(list(uses.values()))))
    text = updated(text, markdown_table(head, rows), "docs/datasheet_toy.md", "counts")
    return updated(text, markdown_table(["what", "how many"], facts), "docs/datasheet_toy.md", "facts")


def _counts(videos: Sequence[ToyVideo]) -> tuple[object, ...]:
    sentences = [(s, v.duration_s) for v in videos for s in v.sentences]
    lengths = [s.span_s[1] - s.span_s[0] for s, _ in sentences]
    shares = [length / duration for length, (_, duration) in zip(lengths, sentences, strict=True)]
    middle = f"{np.mean(lengths):.1f} ({_ends(lengths, '.1f')})"
    seconds = _ends([v.duration_s for v in videos], ".0f")
    words = _ends([len(s.tokens) for s, _ in sentences])
    return len(videos), len(sentences), seconds, middle, f"{np.mean(shares):.2f}", words


def _ends(values: Sequence[float], form: str = "d") -> str:
    return f"{min(values):{form}} to {max(values):{form}}"


def _shared(videos: dict[str, list[ToyVideo]]) -> int:
    ids = [v.video_id for found in videos.values() for v in found]
    return len(ids) - len(set(ids))


def planted_features(text: str) -> str:
    """The page about planted features with the generator's settings and what follows from them."""
    source = Path(planted.__file__).read_text(encoding="utf-8")
    config = PlantedConfig()
    rows = []
    for field in dataclasses.fields(config):
        said = re.search(rf"^    {field.name}: .*#: (.+)$", source, re.MULTILINE)
        rows.append((f"`data.planted.{field.name}`", getattr(config, field.name), said[1] if said else ""))
    noise = config.sigma / np.sqrt(config.dim)
    rows.append(("noise along one sentence's code", f"{noise:.3f}", "sigma / sqrt(dim), beside a signal of `a`"))
    return updated(
        text, markdown_table(["setting", "default", "meaning"], rows), "docs/datasheet_planted.md", "settings"
    )
