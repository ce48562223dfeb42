"""Training of action localisation: a host alone, or with P3's completion network beside it.

P3's released iteration (``schedule="alternate"``) has four phases on one batch:

1. the localiser runs, and its loss is computed but not yet differentiated;
2. the *reconstructor* of the completion network learns ``L_rec``, its attention frozen;
3. its *attention* learns ``L_c`` and the constraints towards the localiser, the reconstructor frozen;
4. the localiser learns its own loss and the constraint towards the attention that phase 2 saw.

``schedule="joint"`` is the paper's: one forward pass of each network, one sum of all losses, P3 Eq. (12), one backward
pass.  The two stop-gradients of the consistency, P3 Eq. (11), stay in both.

# PAPER: one objective / CODE: three optimisers in turn -> schedule
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vmlkit.actions.basnet import BaSNet, BaSNetConfig
from vmlkit.actions.co2net import CO2Net, CO2NetConfig
from vmlkit.actions.dataset import ActionBatch
from vmlkit.actions.hamnet import HAMNet, HAMNetConfig
from vmlkit.actions.localiser import ActionShape, Localised, Localiser, LocaliserConfig
from vmlkit.actions.losses import consistency, reconstruction_error
from vmlkit.actions.vlc import VLC, Completed, VLCConfig, completion_contrast, completion_loss
from vmlkit.errors import ConfigError
from vmlkit.nn.tables import weighted_sum
from vmlkit.training.method import LossTerms, Method, Progress, StepOptimizer, outside_autocast

LOCALISER, RECONSTRUCTOR, ATTENTION = "localiser", "reconstructor", "attention"


@dataclass(frozen=True, kw_only=True)
class ActionConfig:
    """What is trained and how; subclasses name the host."""

    host: LocaliserConfig
    vlc: VLCConfig | None = None  #: None trains the host alone
    weight_decay: float = 1e-3  #: coupled L2 of the localiser's Adam; BaS-Net: 5e-4
    sampler: Literal["pairs", "shuffle"] = "pairs"  #: pairs of one class first (CO2-Net, P3), or a plain shuffle
    steps_per_epoch: int = 50  #: batches between evaluations; P3 looks at its test set every 50
    proposals: Literal["p3", "hamnet", "basnet"] = "p3"  #: how instances are read off, see vmlkit.actions.proposals
    protocol: Literal["p3", "seconds", "activitynet"] = "p3"  #: how they are scored, see vmlkit.actions.detection

    def __post_init__(self) -> None:
        if self.proposals == "basnet" and not isinstance(self.host, BaSNetConfig):
            raise ConfigError("proposals 'basnet' read the suppressed branch, which only BaS-Net has: take 'p3'")


@dataclass(frozen=True, kw_only=True)
class ActionBaSNet(ActionConfig):
    """BaS-Net, or BaS-Net with TSM (``host.text``) and VLC."""

    host: BaSNetConfig


@dataclass(frozen=True, kw_only=True)
class ActionHAMNet(ActionConfig):
    """HAM-Net, or HAM-Net with TSM and VLC."""

    host: HAMNetConfig


@dataclass(frozen=True, kw_only=True)
class ActionCO2Net(ActionConfig):
    """CO2-Net and P3's networks."""

    host: CO2NetConfig


class ActionMethod(Method[ActionBatch]):
    """A host and, where configured, the completion network; see the module docstring."""

    def __init__(self, config: ActionConfig, shape: ActionShape) -> None:
        super().__init__()
        self.config = config
        hosts: dict[type, Any] = {BaSNetConfig: BaSNet, HAMNetConfig: HAMNet, CO2NetConfig: CO2Net}
        self.localiser: Localiser = hosts[type(config.host)](config.host, shape)
        self.vlc: VLC | None = None
        if config.vlc is not None:
            shared = self.localiser.attention if config.vlc.attention is None else None
            self.vlc = VLC(config.vlc, shape, shared)

    # ---- parameters and optimisers

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """One group per optimiser of the release.

        A *shared* attention (P3 Table 5) has one owner, the localiser: its step then learns ``L_c`` as well.
        """
        groups = {LOCALISER: list(self.localiser.parameters())}
        if self.vlc is not None:
            c, own = self.vlc.config, list(self.vlc.attention.parameters())
            apart = {id(p) for p in own}
            groups[RECONSTRUCTOR] = [p for p in self.vlc.parameters() if id(p) not in apart]
            # phase 3 needs an attention of its own, and anything to learn from
            if c.attention is not None and (c.contrast_weight or c.consistency_weight or c.rebuild_weight):
                groups[ATTENTION] = own
        return groups

    def optimizer_settings(self) -> dict[str, dict[str, Any]]:
        """What differs from the run's own settings, per group (see :mod:`vmlkit.training.loop`).

        # PAPER: Adam with one rate / CODE: the localiser has torch's Adam, a constant rate, coupled L2 and no clip; VLC
        # has fairseq's Adam and schedule, whose update comes after the step, so that iterations 0 and 1 both run at the
        # warm-up's first rate -> no switch, because the paper does not say how VLC is optimised
        """
        host = {"l2": self.config.weight_decay, "eps_rule": "torch", "schedule": "constant"}
        host |= {"warmup_updates": 0, "clip_norm": None}
        vlc: dict[str, Any] = {"lag": 1, "warmup_init_lr": 1e-7, "clip_norm": 10.0}
        vlc |= {"schedule": "inverse_sqrt", "eps_rule": "reference"}
        if (c := self.config.vlc) is not None:
            vlc |= {"lr": c.lr, "warmup_updates": c.warmup_updates}
        return {name: dict(host if name == LOCALISER else vlc) for name in self.parameter_groups()}

    # ---- one step

    def step(
        self, batch: ActionBatch, progress: Progress, generator: torch.Generator, optimizers: dict[str, StepOptimizer]
    ) -> LossTerms:
        """The four phases, or one joint update."""
        c = self.config.vlc
        if c is None or c.schedule == "joint":
            return self._joint_step(batch, progress, generator, optimizers)
        out = self.localiser(batch.frames)  # 1
        own = self.localiser.loss(out, batch.labels)
        first = self._complete(batch, generator, frozen=True)
        rec = completion_loss(first.nll, c)
        self._update(RECONSTRUCTOR, c.reconstruction_weight * rec.total, optimizers)  # 2
        pull = self.attention_loss(self._complete(batch, generator), out)
        loss = own.total
        if ATTENTION in optimizers:
            self._update(ATTENTION, pull.total, optimizers)  # 3
        elif c.attention is None:
            loss = loss + pull.total
        towards = self._distance(out.attention, first.attention)
        loss = loss + c.consistency_weight * towards
        parameters = self.parameter_groups()[LOCALISER]
        _set_gradients(loss, parameters)
        optimizers[LOCALISER].step(clip=parameters)  # 4
        terms = {**own.terms, **rec.terms, **pull.terms, "consistency": towards}
        return LossTerms(loss.detach(), {name: value.detach() for name, value in terms.items()})

    def _complete(self, batch: ActionBatch, generator: torch.Generator, *, frozen: bool = False) -> Completed:
        assert self.vlc is not None
        found: Completed = self.vlc(batch, self.vlc.masked_words(batch, generator), frozen=frozen)
        return found

    def _update(self, group: str, loss: Tensor, optimizers: dict[str, StepOptimizer]) -> None:
        """Differentiate into one group only; the other half keeps its gradient, and the clip counts it (code)."""
        assert self.vlc is not None
        own = self.parameter_groups()[group]
        _set_gradients(loss, own)
        optimizers[group].step(clip=list(self.vlc.parameters()) if self.vlc.config.stale_gradient_clipping else own)

    def attention_loss(self, completed: Completed, out: Localised) -> LossTerms:
        """Phase 3: ``L_c`` + 1.5 auto-encoders + 1.5 consistency with the localiser's attention, which is fixed."""
        c = self.config.vlc
        assert c is not None
        zero = completed.nll.new_zeros(())
        loss = completion_contrast(completed.nll, c) if c.contrast_weight else LossTerms(zero, {})
        rebuilt = reconstruction_error(completed.rebuilt) if c.rebuild_weight and c.attention is not None else []
        terms = {**loss.terms, "vlc_rebuild": torch.stack(rebuilt).sum() if rebuilt else zero}
        terms["vlc_consistency"] = self._distance(completed.attention, out.attention)
        parts = [loss.total, terms["vlc_rebuild"], terms["vlc_consistency"]]
        return LossTerms(weighted_sum(parts, [c.contrast_weight, c.rebuild_weight, c.consistency_weight]), terms)

    def _distance(self, own: Tensor, other: Tensor) -> Tensor:
        """L_con of one network; a shared attention is no distance from itself."""
        assert self.vlc is not None
        c = self.vlc.config
        return own.new_zeros(()) if c.attention is None else consistency(own, other, c.consistency)

    def _joint_step(
        self, batch: ActionBatch, progress: Progress, generator: torch.Generator, optimizers: dict[str, StepOptimizer]
    ) -> LossTerms:
        groups = self.parameter_groups()
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        loss = self.training_loss(batch, progress, generator)
        with outside_autocast(loss.total):
            loss.total.backward()
        for name, optimizer in optimizers.items():
            optimizer.step(clip=groups[name])
        return LossTerms(loss.total.detach(), {name: value.detach() for name, value in loss.terms.items()})

    def training_loss(self, batch: ActionBatch, progress: Progress, generator: torch.Generator) -> LossTerms:
        """P3 Eq. (12): the host's loss, and with a completion network ``alpha L_rec + beta L_c`` and constraints."""
        out = self.localiser(batch.frames)
        loss = self.localiser.loss(out, batch.labels)
        c = self.config.vlc
        if self.vlc is None or c is None:
            return loss
        completed = self._complete(batch, generator)
        rec = completion_loss(completed.nll, c)
        pull = self.attention_loss(completed, out)
        towards = self._distance(out.attention, completed.attention)
        total = loss.total + c.reconstruction_weight * rec.total + pull.total
        terms = {**loss.terms, **rec.terms, **pull.terms, "consistency": towards}
        return LossTerms(total + c.consistency_weight * towards, terms)

    def diagnose(self, batch: ActionBatch, progress: Progress, generator: torch.Generator) -> dict[str, Tensor]:
        """How far the two attentions are apart, and how much of a batch each takes for foreground."""
        own = self.localiser(batch.frames).attention
        if self.vlc is None:
            return {"attention": own.mean().detach()}
        other = self.vlc.attention(batch.frames).attention
        measured = {"attention": own.mean(), "vlc attention": other.mean(), "distance": (own - other).abs().mean()}
        return {name: value.detach() for name, value in measured.items()}

    # ---- answers

    @torch.no_grad()
    def localise(self, features: Tensor, queries: Tensor | None = None) -> Localised:
        """Activation and attention of whole videos ``(B, T, F)``."""
        found: Localised = self.localiser(features, queries)
        return found


def _set_gradients(loss: Tensor, parameters: list[nn.Parameter]) -> None:
    with outside_autocast(loss):
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
