"""P4: sentence components beside any model that compares texts.

| symbol            | here                                               | shape   |
| ----------------- | -------------------------------------------------- | ------- |
| sigma_p, sigma_j  | :class:`Compared`                                  | (B), (B, K) |
| omega             | :class:`vmlkit.components.importance.ImportanceModule`     | (B, K)  |
| L                 | :func:`vmlkit.components.losses.component_loss`    | ()      |
| lambda_c          | ``ComponentLossConfig.weight``                     |         |

A host says how alike two texts are (:class:`ComponentHost`): by a joint embedding of video and text (P4 Eq. (6),
:class:`JointEmbedding`), or by text alone (P4 Eq. (7), :class:`XCLIPHost`).  :class:`WithComponents` adds the loss:
``L = L_model + lambda_c L_component``.

**Controls.**  Negatives with "not" can be told from positives without looking.  Two controls train the same loss
where it cannot learn from the video: ``text_only`` compares texts before they meet the video, ``shuffled_video``
compares them on another video of the batch.  Where the loss never sees a video (X-CLIP), ``shuffled_variants`` gives
every sentence the variants of another.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vmlkit.components.dataset import ComponentBatch, ComponentDataset, VariantBatch
from vmlkit.components.importance import ImportanceModule
from vmlkit.components.losses import ComponentLossConfig, component_loss
from vmlkit.components.xclip import XCLIP, XCLIPConfig
from vmlkit.components.xclip_heads import TextStates, joined
from vmlkit.data.batches import MomentBatch, Predictions
from vmlkit.errors import ConfigError
from vmlkit.nn.similarity import cosine, late_interaction, resized
from vmlkit.training.method import LossTerms, Method, Progress, StepOptimizer

Control = Literal["none", "text_only", "shuffled_video", "shuffled_variants"]
#: which video a text is compared on
View = Literal["own", "shuffled", "none"]
_VIEWS: dict[str, View] = {"text_only": "none", "shuffled_video": "shuffled"}


@dataclass(frozen=True, kw_only=True)
class ComponentsConfig:
    """Which negatives, which loss, which control.

    Raises:
        ConfigError: for a component that is named twice.
    """

    names: tuple[str, ...] = ()  #: components that take part; () takes all that the data has
    loss: ComponentLossConfig = field(default_factory=ComponentLossConfig)
    control: Control = "none"
    text_similarity: Literal["late", "aosm"] = "late"  #: reading of P4 Eq. (7), X-CLIP only

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.names):
            raise ConfigError(f"setting 'names' holds a component twice: {', '.join(self.names)}")


@dataclass(frozen=True)
class Compared:
    """How alike each anchor and its variants are, and what the importance module reads."""

    positive: Float[Tensor, " B"]
    negatives: Float[Tensor, "B K"]
    sentence: Float[Tensor, "B Dt"]
    words: Float[Tensor, "B K L Dt"]
    word_mask: Bool[Tensor, "B K L"]


@runtime_checkable
class ComponentHost(Protocol):
    """What :class:`WithComponents` needs of a model."""

    text_dim: int  #: size of the vectors that the importance module reads

    @property
    def model(self) -> Method[Any]:
        """The model itself."""
        ...

    def loss(
        self, batch: Any, variants: VariantBatch, view: View, progress: Progress, generator: torch.Generator
    ) -> tuple[LossTerms, Compared]:
        """The model's own loss and the comparison, sharing the graph of the anchor."""
        ...

    def compare(self, batch: Any, variants: VariantBatch, view: View) -> Compared:
        """The comparison alone."""
        ...


H = TypeVar("H", bound=ComponentHost)


def other_video(x: Tensor) -> Tensor:
    """The videos of a batch moved on by half of it, so that neighbours of one video do not meet again."""
    return x.roll(max(len(x) // 2, 1), 0)


def end_token(words: Float[Tensor, "B L D"], mask: Bool[Tensor, "B L"]) -> Float[Tensor, "B D"]:
    """The last valid token: the raw sentence vector of models that read word features."""
    last = (mask.sum(dim=1) - 1).clamp_min(0)
    return words[torch.arange(len(words), device=words.device), last]


@runtime_checkable
class JointEmbedding(Protocol):
    """A model with one vector for a video together with a text: P4 Eq. (6)."""

    def joint(
        self, batch: Any, words: Float[Tensor, "B R L Dw"], mask: Bool[Tensor, "B R L"], view: View
    ) -> Float[Tensor, "B R D"]:
        """``g`` of each video with each of R texts; the video is projected once per sample.

        Args:
            view: its own video, another one of the batch, or none: the text before it meets the video.
        """
        ...


def compare_jointly(embedder: JointEmbedding, batch: MomentBatch, variants: VariantBatch, view: View) -> Compared:
    """P4 Eq. (6) for any joint embedding: cosines of ``g``, the raw text for the importance module."""
    g = embedder.joint(batch, *side_by_side(batch, variants), view)
    return compared(g[:, 0], g[:, 1:], batch, variants)


def side_by_side(
    batch: MomentBatch, variants: VariantBatch
) -> tuple[Float[Tensor, "B K2 L Dw"], Bool[Tensor, "B K2 L"]]:
    """Each sentence and its variants in one axis, itself first, padded to one length."""
    words, mask = variants.texts()
    length = max(batch.words.shape[1], words.shape[2])
    own, others = resized(batch.words[:, None], batch.word_mask[:, None], length), resized(words, mask, length)
    return torch.cat((own[0], others[0]), dim=1), torch.cat((own[1], others[1]), dim=1)


def compared(
    anchor: Float[Tensor, "B D"], others: Float[Tensor, "B K1 D"], batch: MomentBatch, variants: VariantBatch
) -> Compared:
    """Cosines of an anchor's embedding with those of its positive (first) and negatives."""
    sigma = cosine(anchor[:, None], others)
    sentence = end_token(batch.words, batch.word_mask)
    return Compared(sigma[:, 0], sigma[:, 1:], sentence, variants.negative, variants.negative_mask)


class XCLIPHost:
    """P4 Eq. (7) on X-CLIP: only texts are compared, so the loss shapes the text encoder alone, whatever the view."""

    def __init__(self, model: XCLIP, form: Literal["late", "aosm"] = "late") -> None:
        self.model, self.form, self.text_dim = model, form, model.config.width

    def loss(
        self, batch: MomentBatch, variants: VariantBatch, view: View, progress: Progress, generator: torch.Generator
    ) -> tuple[LossTerms, Compared]:
        """The symmetric retrieval loss and the comparison of texts; all texts are encoded in one pass."""
        anchors, others = self._encode(batch, variants)
        return self.model.retrieval_loss(anchors, batch), self._compared(anchors, others)

    def compare(self, batch: MomentBatch, variants: VariantBatch, view: View) -> Compared:
        """The comparison of texts."""
        return self._compared(*self._encode(batch, variants))

    def _encode(self, batch: MomentBatch, variants: VariantBatch) -> tuple[TextStates, TextStates]:
        """States of the sentences ``(B, ...)`` and of their variants ``(B, K + 1, ...)``, by one pass."""
        words, mask = side_by_side(batch, variants)
        states = self.model.encode_texts(words.flatten(0, 1), mask.flatten(0, 1))
        texts = states.map(lambda x: x.unflatten(0, words.shape[:2]))
        return texts.map(lambda x: x[:, 0]), texts.map(lambda x: x[:, 1:])

    def _compared(self, anchors: TextStates, others: TextStates) -> Compared:
        sigma = late_interaction(
            anchors.words[:, None], anchors.mask[:, None], others.words, others.mask, form=self.form
        )
        return Compared(sigma[:, 0], sigma[:, 1:], anchors.sentence, others.words[:, 1:], others.mask[:, 1:])

    def match(self, batch: ComponentBatch, shuffled: bool) -> tuple[Float[Tensor, " B"], Float[Tensor, "B K"]]:
        """Logits of each video, or of another one, with its sentence and with the negatives."""
        frames, mask = batch.frames, batch.frame_mask
        if shuffled:
            frames, mask = other_video(frames), other_video(mask)
        videos = self.model.encode_videos(frames, mask)
        anchors, others = self._encode(batch, batch.variants)
        texts = joined((anchors.map(lambda x: x[:, None]), others.map(lambda x: x[:, 1:])), dim=1)
        # one video with its own few texts at a time: all pairs of the batch would be B times as many
        scores = (self.model.core.scores(texts[i], videos[i : i + 1]) for i in range(len(frames)))
        logits = torch.stack([score.logits[:, 0] for score in scores])
        return logits[:, 0], logits[:, 1:]


class WithComponents(Method[ComponentBatch], Generic[H]):
    """A host with P4's loss: ``L_model + lambda_c L_component``; with ``lambda_c = 0`` the host as it is.

    Raises:
        ConfigError: for a component that the data does not have.
    """

    def __init__(self, host: H, config: ComponentsConfig, available: tuple[str, ...]) -> None:
        super().__init__()
        self.host, self.model, self.config = host, host.model, config
        self.names = config.names or available
        missing = [name for name in self.names if name not in available]
        if missing:
            raise ConfigError(f"no component '{missing[0]}': the data has {', '.join(available)}")
        self.columns: Tensor
        columns = torch.tensor([available.index(name) for name in self.names])
        self.register_buffer("columns", columns, persistent=False)  # a list would be copied to the device each time
        self.importance: ImportanceModule | None = None
        if config.loss.weight > 0 and config.loss.kind == "adaptive":
            self.importance = ImportanceModule(host.text_dim, config.loss.hidden, config.loss.scaled)

    def training_loss(self, batch: ComponentBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """Both losses of a batch."""
        if self.config.loss.weight == 0:
            return self.model.training_loss(batch, progress, generator)
        variants = self.chosen(batch.variants)
        if self.config.control == "shuffled_variants":
            variants = variants.swapped()
        view = _VIEWS.get(self.config.control, "own")
        own, compared = self.host.loss(batch, variants, view, progress, generator)
        result = component_loss(
            compared.positive, compared.negatives, variants.valid, self.config.loss, self._importance(compared)
        )
        return LossTerms(own.total + self.config.loss.weight * result.loss, own.terms | result.terms)

    def _importance(self, compared: Compared) -> Any:
        if self.importance is None:
            return None
        return self.importance(compared.sentence, compared.words, compared.word_mask)

    def chosen(self, variants: VariantBatch) -> VariantBatch:
        """The components that take part."""
        return replace(
            variants,
            negative=variants.negative[:, self.columns],
            negative_mask=variants.negative_mask[:, self.columns],
            valid=variants.valid[:, self.columns],
        )

    def step(
        self,
        batch: ComponentBatch,
        progress: Progress,
        generator: torch.Generator,
        optimizers: dict[str, StepOptimizer],
    ) -> LossTerms:
        """One update of host and importance module together."""
        loss = super().step(batch, progress, generator, optimizers)
        if isinstance(self.model, XCLIP):
            self.model.core.clamp_scale()
        return loss

    @torch.no_grad()
    def predict(
        self, batch: ComponentBatch, generator: torch.Generator, progress: Progress | None = None
    ) -> Predictions:
        """The host's answer; variants play no part in it."""
        return self.model.predict(batch, generator, progress)

    @torch.no_grad()
    def diagnose(self, batch: ComponentBatch, progress: Progress, generator: torch.Generator) -> dict[str, Tensor]:
        """Mean importance of each component over the sentences that have it, on a fixed batch."""
        if self.importance is None:
            return {}
        weights = self.importances(batch)
        means = weights.sum(0) / self.chosen(batch.variants).valid.sum(0).clamp_min(1)
        return {f"importance {name}": value for name, value in zip(self.names, means, strict=True)}

    @torch.no_grad()
    def importances(self, batch: ComponentBatch) -> Float[Tensor, "B K"]:
        """How the importance module weighs the negatives of each sentence, P4 Eq. (4); 0 for those it has not.

        Raises:
            ConfigError: for a loss that weighs nothing.
        """
        if self.importance is None:
            raise ConfigError("setting 'model.components.loss.kind' must be 'adaptive' for negatives to be weighed")
        variants = self.chosen(batch.variants)
        weights: Tensor = self._importance(self.host.compare(batch, variants, "own")).weights(variants.valid)
        return weights

    def curriculum(self, progress: Progress) -> dict[str, float]:
        """The host's schedules."""
        return self.model.curriculum(progress)


@dataclass(frozen=True, kw_only=True)
class XCLIPWithComponents:
    """Settings of X-CLIP with P4's loss."""

    host: XCLIPConfig = field(default_factory=XCLIPConfig)
    components: ComponentsConfig = field(default_factory=ComponentsConfig)


def xclip_with_components(settings: XCLIPWithComponents, data: ComponentDataset) -> WithComponents[XCLIPHost]:
    """X-CLIP sized to a :class:`vmlkit.components.dataset.ComponentDataset`.

    Raises:
        ConfigError: for a control of what the loss sees, since it never sees a video.
    """
    if settings.components.control in _VIEWS:
        raise ConfigError(
            f"control {settings.components.control!r} changes nothing on X-CLIP, whose component loss never sees a "
            "video: choose 'shuffled_variants'"
        )
    model = XCLIP(settings.host, data.frames.shape[-1], data.vectors.shape[-1])
    host = XCLIPHost(model, settings.components.text_similarity)
    return WithComponents(host, settings.components, data.texts.components)
