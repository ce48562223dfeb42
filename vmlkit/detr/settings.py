"""The settings of the sources of the DETR family; each is a kind of :class:`vmlkit.data.settings.DataConfig`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from vmlkit.config import at_least, positive
from vmlkit.data.left_out import Missing
from vmlkit.data.planted import PlantedConfig
from vmlkit.data.settings import CharadesCDData, DataConfig, ToyData
from vmlkit.detr.corpora import CORPORA, Corpus
from vmlkit.detr.negative_queries import NegativeRules


@dataclass(frozen=True, kw_only=True)
class DetrToyData(ToyData):
    """The toy world with a training set whose moments lie early, all of them or most."""

    #: which moments training and validation keep; with all but "anywhere" the test split, whole, is reported in two
    #: groups, of the moments centered in the first 55 % of their videos (iid) and of the others (ood).  "early": the
    #: early ones alone; "mostly_early": as many, a tenth of them late; "as_they_are": as many, with the share of late
    #: ones that the world has, which shows what the second group is worth where training knows it
    moments: Literal["anywhere", "early", "mostly_early", "as_they_are"] = "anywhere"
    negatives: NegativeRules = field(default_factory=NegativeRules)  #: which sentences are too similar


@dataclass(frozen=True, kw_only=True)
class DetrCharadesCDData(CharadesCDData):
    """Planted Charades-CD with the rules of negative sentences."""

    negatives: NegativeRules = field(default_factory=NegativeRules)  #: which sentences are too similar


@dataclass(frozen=True, kw_only=True)
class LinesData(DataConfig):
    """A data set of JSON lines, wherever its features come from.

    Raises:
        ConfigError: for a length or number that is not positive.
    """

    annotations: str | None = None  #: folder of the files, or one of them; None looks below $VMLKIT_DATA
    test_file: str | None = None  #: name of another file of the folder as the test split
    domain: str | None = None  #: TVSum, YouTube Highlights: this one alone, as published; None: one model for all
    clips: int = 75  #: most clips of a video (``max_v_l``); what lies beyond is cut
    seconds_per_row: float = 2.0  #: seconds a row of features stands for, a clip (``clip_length``)
    round_windows: bool = True  #: predicted windows are cut to the video and rounded to whole clips before scoring
    max_windows: int = 5  #: true windows of a query that train; of more, so many are drawn at every step
    max_words: int = 32  #: words or tokens of a sentence (``max_q_l``); the rest is cut
    #: GloVe as .npz or text; None takes the .npz beside the annotations, if any
    word_vectors: str | None = None
    #: of the training videos, where the data set has no validation file; 0 trains on all and takes the last epoch
    validation_share: float = 0.1
    negatives: NegativeRules = field(default_factory=NegativeRules)  #: which sentences are too similar

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, 1, "max_windows max_words")
        positive(self, "seconds_per_row")

    @property
    def corpus(self) -> Corpus:
        """What is known of the data set."""
        return CORPORA[self.corpus_name]

    @property
    def corpus_name(self) -> str:
        """Its name in :data:`vmlkit.detr.corpora.CORPORA`."""
        return self.name.removeprefix("planted:")


@dataclass(frozen=True, kw_only=True)
class DetrData(LinesData):
    """A data set of JSON lines with features from files."""

    name: Literal[
        "qvhighlights", "charades_sta", "charades_cd", "tacos", "activitynet_captions", "tvsum", "youtube_highlights"
    ]
    features: str | None = None  #: folder of the feature folders, or, with a single kind, that folder or file itself
    feature_dataset: str | None = None  #: name of the array to read where a video has several
    #: kinds of clip features, joined in this order; each circulates under several names (``clip``, ``clip_features``)
    kinds: tuple[str, ...] = ("slowfast", "clip")
    unit_rows: bool = True  #: divide every row of every kind by its norm
    #: token states: a folder of one .npz a query, or of a saved text encoder; None takes a folder such as ``clip_text``
    #: beside the clip features, if there is one and no ``word_vectors`` are named
    text_features: str | None = None
    unit_text: bool = True  #: divide every token state by its norm
    #: of clip features in memory; batches are float32.  QVHighlights (10,148 videos, 2,816 columns): 8.6 or 4.3 GB
    feature_dtype: Literal["float32", "float16"] = "float32"
    missing: Missing = "leave_out"  #: queries whose video or sentence has no features: left out and said, or an error


@dataclass(frozen=True, kw_only=True)
class PlantedLinesData(LinesData):
    """A data set of JSON lines over planted features, one row a clip: the annotations are real, the videos are not."""

    name: Literal["planted:qvhighlights", "planted:tacos"]
    planted: PlantedConfig = field(default_factory=PlantedConfig)

    #: what acts on planted features elsewhere, and does not here
    idle: ClassVar[Mapping[str, str]] = {
        "planted.fps": "a row is a clip, set data.seconds_per_row",
        "planted.least_frames": "a video has as many clips as it lasts",
    }


def grouped(config: DataConfig) -> bool:
    """Whether the test split is reported in two groups, as trained on and not."""
    shifted = isinstance(config, DetrToyData) and config.moments != "anywhere"
    return shifted or config.name.removeprefix("planted:") == "charades_cd"
