"""Where annotations and features of the data sets are published: what is said of files that are not there."""

from collections.abc import Mapping
from pathlib import Path

from vmlkit.files import read_json

#: source -> ``annotations`` and ``features`` -> their place, a part of a sentence
PUBLISHED: Mapping[str, Mapping[str, str]] = read_json(Path(__file__).with_name("published_data.json"))


def published(source: str, what: str = "annotations") -> str:
    """The end of a sentence about files that are not there: where they are published, if that is known.

    >>> published("planted:tvr")
    '; they are published at github.com/jayleicn/TVRetrieval (data: tvr_train_release.jsonl, tvr_val_release.jsonl)'
    >>> published("mine", "features")
    ''
    """
    place = PUBLISHED.get(source.removeprefix("planted:"), {}).get(what)
    return f"; they are published {'at' if what == 'annotations' else 'as'} {place}" if place else ""
