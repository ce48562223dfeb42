"""The settings of each source of sentences.  A kind of source has those that act on it and no others.

A family that asks more of a source adds its own kind beside its loader (:mod:`vmlkit.detr.dataset`,
:mod:`vmlkit.actions.sources`).  ``name`` tells the kinds apart when settings are read back.
"""

from dataclasses import dataclass, field, fields
from typing import Literal

from vmlkit.data.annotations.charades import Beyond
from vmlkit.data.assembly import Unknown
from vmlkit.data.corpus import TestSplit
from vmlkit.data.left_out import Missing
from vmlkit.data.planted import PlantedConfig
from vmlkit.data.toyworld import ToyConfig
from vmlkit.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What every source has: its name, and how much of it is used.

    Raises:
        ConfigError: for a size below 1, a negative seed, or a share outside [0, 1[.
    """

    name: str
    clips: int = 64  #: T; the papers use 200
    seed: int = 0  #: of the videos set aside and of the queries kept below
    max_train_queries: int | None = None  #: keep a seeded sample of this size; None keeps all
    max_validation_queries: int | None = None
    max_test_queries: int | None = None

    def __post_init__(self) -> None:
        sizes = ("clips", "max_words", "vocab_size", "max_train_queries", "max_validation_queries", "max_test_queries")
        for name, least in {**dict.fromkeys(sizes, 1), "seed": 0}.items():
            value = getattr(self, name, None)
            if value is not None and value < least:
                raise ConfigError(f"setting '{name}' must be at least {least}, not {value}")
        seconds = getattr(self, "seconds_per_row", None)
        if seconds is not None and not seconds > 0:
            raise ConfigError(f"setting 'seconds_per_row' must be above 0, not {seconds}")
        share = getattr(self, "validation_share", 0.5)
        if not 0 <= share < 1:
            raise ConfigError(f"setting 'validation_share' must be 0 or more and below 1, not {share}")

    @property
    def limits(self) -> dict[str, int | None]:
        """The largest number of queries of each split."""
        return {
            "train": self.max_train_queries,
            "validation": self.max_validation_queries,
            "test": self.max_test_queries,
        }


@dataclass(frozen=True, kw_only=True)
class ToyData(DataConfig, ToyConfig):
    """The toy world, which needs no file; its own settings stand beside those of every source."""

    name: Literal["toy"] = "toy"

    def __post_init__(self) -> None:
        DataConfig.__post_init__(self)
        ToyConfig.__post_init__(self)

    @property
    def toy(self) -> ToyConfig:
        """What decides the world itself; its features are cached under these settings alone."""
        return ToyConfig(**{f.name: getattr(self, f.name) for f in fields(ToyConfig)})


@dataclass(frozen=True, kw_only=True)
class SentenceData(DataConfig):
    """Sentences and moments from annotation files."""

    annotations: str | None = None  #: folder of the annotation files, or one of them; None looks below $VMLKIT_DATA
    #: GloVe as .npz or text; None takes the .npz in the folder, if any (of Charades-CD also in ``charades_sta`` beside)
    word_vectors: str | None = None
    #: folder of a saved encoder, such as DistilBERT, that gives each word a vector in its sentence; None: word vectors
    text_encoder: str | None = None
    max_words: int = 20  #: longer sentences are cut
    vocab_size: int | None = None  #: the most frequent words; None: 1,111 (Charades-STA), else 8,000
    unknown_sentence: Unknown = "keep"  #: a sentence without a known word: one padding word, left out, or an error
    feature_dtype: Literal["float32", "float16"] = "float32"


@dataclass(frozen=True, kw_only=True)
class _TwoFiles(SentenceData):
    """A corpus of a training and a test file; validation videos are set aside from the training file.

    With ``validation_share=0`` every training video is trained on.  What is measured during training then is a tenth of
    the training videos, which cannot choose an epoch: ``train.choose_epoch_by`` must be ``"last"``.

    Raises:
        ConfigError: as :class:`DataConfig`, and for a ``test_split`` of another corpus.
    """

    durations: str | None = None  #: CSV or JSON of seconds by video, for the original Charades-STA text
    #: of the training videos; 0 trains on all of them, and the epoch must be chosen by a rule (see below)
    validation_share: float = 0.1
    beyond_duration: Beyond = "error"  #: a span that ends after its video: an error, cut, or left out
    test_split: TestSplit | None = None  #: of ActivityNet Captions; None takes val_2 where its file is there

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_split is not None and not self.name.endswith("activitynet"):
            raise ConfigError(f"setting 'test_split' is for ActivityNet Captions alone, not for '{self.name}'")


@dataclass(frozen=True, kw_only=True)
class CorpusData(_TwoFiles):
    """Charades-STA, ActivityNet Captions or TV show Retrieval with real features."""

    name: Literal["charades", "activitynet", "tvr"]
    features: str | None = None  #: HDF5 file or folder of arrays
    feature_dataset: str | None = None  #: name of the array inside a video's HDF5 group
    seconds_per_row: float | None = None  #: of the features; None finds it from the durations; held against them
    missing: Missing = "leave_out"  #: videos without features: left out, counted and said, or an error


@dataclass(frozen=True, kw_only=True)
class PlantedData(_TwoFiles):
    """The sentences and moments of a corpus over planted features."""

    name: Literal["planted:charades", "planted:activitynet", "planted:tvr"] = "planted:charades"
    planted: PlantedConfig = field(default_factory=PlantedConfig)


@dataclass(frozen=True, kw_only=True)
class CharadesCDData(SentenceData):
    """Charades-CD over planted features: four files, of which two are the halves of the test split."""

    name: Literal["planted:charades_cd"] = "planted:charades_cd"
    planted: PlantedConfig = field(default_factory=PlantedConfig)


def planted_charades_reduced(annotations: str | None = None) -> PlantedData:
    """Planted Charades-STA at the size of the documented anchor runs.

    64 clips, the 300 most frequent words (V = 301), seeded samples of 3,200 training and 600 test queries; the
    validation queries (300) come from further training videos.

    Args:
        annotations: folder with ``train.json``, ``test.json``, ``tokens_pos.jsonl.gz`` and ``glove_charades.npz``.
    """
    return PlantedData(
        annotations=annotations,
        vocab_size=300,
        max_train_queries=3200,
        max_validation_queries=300,
        max_test_queries=600,
    )
