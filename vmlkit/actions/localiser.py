"""What the networks of action localisation have in common: features in, class activation and attention out.

Axes: B videos, T snippets, F features, C classes, K = C + 1 with background last.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor, nn

from vmlkit.actions.cross_modal import Attended, AttentionConfig, average_over_time, build_attention, kaiming_
from vmlkit.actions.text_queries import TextQueries, TextQueryConfig
from vmlkit.errors import ConfigError
from vmlkit.nn.tables import weighted_sum
from vmlkit.training.method import LossTerms


@dataclass(frozen=True, kw_only=True)
class ActionShape:
    """Sizes and class texts that the data fix."""

    features: int  #: F
    class_words: Float[Tensor, "C S Dw"]  #: vectors of the words of each class name
    vocabulary: int  #: number of word ids of the captions (V)
    clips: int  #: S, snippets of a training video, from which BaS-Net's k and the width of pooling follow
    context_words: Float[Tensor, "W Dw"] | None = None  #: vectors of "a video of", for the handcrafted prompt

    @property
    def classes(self) -> int:
        """C."""
        return self.class_words.shape[0]

    @property
    def word_dim(self) -> int:
        """Dw."""
        return self.class_words.shape[2]


@dataclass(frozen=True, kw_only=True)
class LocaliserConfig:
    """Switches that every host has."""

    attention: AttentionConfig = field(default_factory=AttentionConfig)
    text: TextQueryConfig | None = None  #: dot products with a query per class name (P3's TSM); None: a convolution
    #: moving average of activations and attention over ``2 (S // pool // 2) + 1`` snippets (ActivityNet: 5); None: off
    pool: int | None = None

    def __post_init__(self) -> None:
        if self.pool is not None and self.pool < 1:
            raise ConfigError(f"setting 'pool' divides the number of snippets: it must be positive, not {self.pool}")


@dataclass(frozen=True, kw_only=True)
class Localised:
    """One forward pass of a localisation network."""

    features: Float[Tensor, "B T F"]  #: what co-activity compares
    final: Float[Tensor, "B T D"]  #: what the classifier reads
    cas: Float[Tensor, "B T K"]  #: class activation sequence (logits)
    attention: Float[Tensor, "B T"]
    branches: tuple[Tensor, ...] = ()  #: attention of each modality
    rebuilt: tuple[tuple[Tensor, Tensor], ...] = ()  #: (prediction, target) of the cross-modal auto-encoders
    suppressed: Float[Tensor, "B T K"] | None = None  #: BaS-Net's second branch


class Localiser(nn.Module, ABC):
    """A host: attention part, body, classifier and loss.  Subclasses are BaS-Net, HAM-Net and CO2-Net (P3's TSM)."""

    config: LocaliserConfig
    queries: TextQueries | None
    classifier: nn.Conv1d | None

    def __init__(self, config: LocaliserConfig, shape: ActionShape) -> None:
        super().__init__()
        self.config = config
        self.kernel = None if config.pool is None else shape.clips // config.pool // 2 * 2 + 1
        self.attention = build_attention(config.attention, shape.features)

    @abstractmethod
    def forward(self, features: Float[Tensor, "B T F"], queries: Float[Tensor, "K D"] | None = None) -> Localised:
        """Activation and attention of every snippet.

        Args:
            queries: text queries computed before (once per evaluation); None computes them where they are needed.
        """

    @abstractmethod
    def loss(self, out: Localised, labels: Float[Tensor, "B C"]) -> LossTerms:
        """The host's own loss from video-level labels."""

    def video_scores(self, out: Localised) -> Float[Tensor, "B K"] | None:
        """Class scores of whole videos, where a host has its own for reading instances off (BaS-Net)."""
        return None

    def class_queries(self) -> Float[Tensor, "K D"] | None:
        """The text queries, or None with a convolutional classifier."""
        return None if self.queries is None else self.queries()

    def build_classifier(self, shape: ActionShape, width: int, *, bias: bool = True) -> None:
        """Either a 1x1 convolution ``width -> C + 1`` or text queries of the same width."""
        text = self.config.text
        self.classifier = nn.Conv1d(width, shape.classes + 1, 1, bias=bias) if text is None else None
        self.queries = None if text is None else TextQueries(text, width, shape.class_words, shape.context_words)
        if self.queries is not None:
            kaiming_(self.queries)

    def classify(self, final: Float[Tensor, "B T D"], queries: Float[Tensor, "K D"] | None) -> Float[Tensor, "B T K"]:
        """``conv1(final)``, or P3's S: the dot product with each class's query (no bias, no temperature)."""
        if self.classifier is not None:
            made: Tensor = self.classifier(final.transpose(1, 2)).transpose(1, 2)
            return made
        found = self.class_queries() if queries is None else queries
        assert found is not None
        return final @ found.t()

    def read(
        self,
        features: Float[Tensor, "B T F"],
        final: Float[Tensor, "B T D"],
        attended: Attended,
        queries: Float[Tensor, "K D"] | None,
    ) -> Localised:
        """What every host makes of the features that its classifier reads and of the attention part's answer."""
        return Localised(
            features=features,
            final=final,
            cas=self.pooled(self.classify(final, queries)),
            attention=self.pooled_attention(attended.attention),
            branches=tuple(map(self.pooled_attention, attended.branches)),
            rebuilt=attended.rebuilt,
        )

    def pooled(self, x: Float[Tensor, "B T K"]) -> Float[Tensor, "B T K"]:
        """The moving average of the ActivityNet variants of CO2-Net, HAM-Net and P3.

        Its width is fixed by S, the snippets of a training video, also for a video of another length.
        """
        return x if self.kernel is None else average_over_time(x, self.kernel)

    def pooled_attention(self, attention: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """The same of one sequence per video."""
        return self.pooled(attention[..., None])[..., 0]


def total(terms: dict[str, Tensor], weights: dict[str, float]) -> LossTerms:
    """The weighted sum of named terms (weight 1 where none is given); the terms are recorded unweighted."""
    return LossTerms(weighted_sum(list(terms.values()), [weights.get(name, 1.0) for name in terms]), terms)
