# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,jupyter,jp-MarkdownHeadingCollapsed,-all
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Gaussian proposals: one, several, mixtures
#
# **A proposal can be one Gaussian (CNM), the best of several (CPL) or a sum of several (PPS), but one number that
# papers file under "diversity" has already decided how wide it is.**
# You climb these three rungs, measure what that number does, train the last rung and look inside.
#
# Time: about one and a half minutes at `ci` size on two cores, some minutes at `demo` size. No GPU, no download.
#
# Words and symbols of all pages: [glossary](glossary.md).

# %% [markdown]
# **You need:** the tour and, better, page 01: what a mask over time and a reconstruction loss are.
#
# **Afterwards you can** tell CNM, CPL and PPS apart by one equation each; predict how wide proposals get from three
# numbers of a paper; say what R@5 hides.
#
# **Path:** before this page comes [01: one Gaussian, two negatives](01_cnm.ipynb); next is [03: negatives that
# learn](03_dual_signed_negatives.ipynb).

# %% [markdown]
# ## The question
#
# A localiser trained without times needs a guess that can be *improved by gradients*: a soft window over the video.
# What shape should it have? Three papers answer, each adding one thing to the one before:
#
# 1. CNM (AAAI 2022): one Gaussian per sentence;
# 2. CPL (CVPR 2022): several Gaussians, ranked by how well each lets a model fill in hidden words;
# 3. PPS (AAAI 2024): each proposal is a *mixture* of Gaussians, held together by a pull and spread by pushes.
#
# You take each addition away again and check that the previous paper comes back.

# %% tags=["parameters"]
size = "ci"  # "ci": one and a half minutes; "demo": some minutes; "long": the longest run of the toy world
seed = 0
data = "toy"  # real sentences: "planted:charades" needs annotations only, "charades" features as well
annotations = ""  # their folder; empty looks below $VMLKIT_DATA
features = ""
device = "auto"  # "cpu", "cuda", or a card where there is one
run_dir = "runs/02_gaussian_proposals"  # other values of the above get folders of their own beside it

# %% jupyter={"source_hidden": true}
import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

import vmlkit as vk
from vmlkit.config import with_overrides
from vmlkit.experiments.experiment import build, load_run
from vmlkit.metrics.report import metrics_table
from vmlkit.studies.pages import show_study
from vmlkit.tables.priors import part
from vmlkit.viz import notebook as nb
from vmlkit.viz.curves import draw_curves
from vmlkit.viz.mixtures import draw_mixtures, draw_paths
from vmlkit.viz.scrubber import scrubber
from vmlkit.viz.style import ROLES, SERIES, save_figure
from vmlkit.viz.timeline import draw_epochs

files = {"annotations": annotations, "features": features}
page = vk.open_page(run_dir, size=size, seed=seed, data=data, **files, device=device, methods=["pps", "cpl"])
exercises = vk.Exercises(3)
torch.set_num_threads(1)  # the tensors are too small for a second one to help
experiment = page.preset("pps", {"train.epochs": 6} if (size, data) == ("ci", "toy") else {})

# %% [markdown]
# ## The data and the idea, in one picture
#
# The toy world of `00_tour`: short rendered videos, sentences about them, and spans that training never sees.

# %%
splits = page.load(experiment)
for split in (splits.train, splits.validation, splits.test):
    print(f"{split.name:15s} {len(split):5d} sentences in {len(set(split.video_ids)):4d} videos")

# %% jupyter={"source_hidden": true}
example = 4
sentence, duration = splits.test.sentences[example], splits.test.durations[example]
span_s, strip = splits.test.spans_s[example], splits.test.film_strip(splits.test.video_ids[example], 14, 64)
shapes = {
    "one": [([0.5], [0.45], [1.0])],
    "best of four": [([center], [0.27], [1.0]) for center in (0.1, 0.37, 0.63, 0.9)],
    "a mixture": [([0.2, 0.27, 0.42], [0.2, 0.2, 0.2], [0.25, 0.45, 0.3])],
}
answer = {"best of four": 2}
figure = draw_mixtures(strip, duration, tuple(span_s), shapes, sigma=4, sentence=sentence, chosen=answer)
save_figure(figure, "figures/02_gaussian_proposals_idea.png")
figure

# %% [markdown]
# *Three shapes of a guess over the same video, drawn by hand; the shaded band is the ground truth.* The mixture is a
# weighted sum of thin curves, so it can be lopsided or have two humps.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Symbols

# %% [markdown]
# | symbol | in the code | shape |
# | --- | --- | --- |
# | $c, w$: center, width | `centers`, `widths` | (B, P), fractions of the video |
# | $g$ or $m$: mask on the grid of $S$ cells | `masks` | (B, P, S) |
# | $q$: weight of a component | `weights` | (B, P, P) |
# | $a_k$: NLL of the sentence seen through mask $k$ | `nll` | (B, P) |
# | $\sigma$; $\lambda$; $\alpha_2$ | `sigma`; `diversity_target`; `diversity_weight` | numbers |

# %% [markdown]
# ## First rung: one Gaussian
#
# CNM, P1 Eq. (4) on the grid of its code: cell $i$ at $x_i = i/(S-1)$ gets
# $g_i = \exp\left(-\alpha\,(x_i-c)^2 / w^2\right)$.
#
# By hand, with five cells, $c = w = 1/2$ and $\alpha = 5$: one cell away from the center the distance is $1/4$, so
# $g = \exp(-5 \cdot \frac{1}{16} / \frac14) = e^{-5/4}$.

# %%
from vmlkit.reconstruction.gaussian import cnm_mask, natural_width, peak_gaussian

half = torch.tensor(0.5)
g = cnm_mask(half, half, 5, alpha=5.0)
print("cells 0, .25, .5, .75, 1:", g.numpy().round(4), "  e^(-5/4) =", round(float(np.exp(-1.25)), 4))
assert torch.allclose(g[1], torch.tensor(np.exp(-1.25), dtype=torch.float32))

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### What "width" means in each paper
#
# CPL writes the same curve with a standard deviation of $w/\sigma$:
# $g_i = \exp\left(-\frac{(x_i-c)^2}{2(w/\sigma)^2}\right)$. Compare exponents: $\sigma = \sqrt{2\alpha}$.

# %%
same = peak_gaussian(half, half, 5, sigma=(2 * 5.0) ** 0.5)
assert torch.allclose(g, same), "CNM's Gaussian is CPL's with sigma = sqrt(2 alpha)"
for name, sigma in {"CNM (alpha 5)": 10**0.5, "CPL on the toy world": 4.0, "CPL as released": 9.0}.items():
    edge = float(peak_gaussian(half, half, 1001, sigma=sigma)[250])
    print(f"{name:21s} sigma {sigma:4.2f}: weight half a width from the center {edge:.5f}")

# %% [markdown]
# So "width" means different things in different papers: at CPL's released $\sigma$ a clip at the *edge* of the
# predicted span is as good as invisible. Drag $\sigma$ and watch the curve leave the bar below it, which is the span
# that the same proposal claims:

# %%
from vmlkit.viz.playgrounds import gaussian_playground

gaussian_playground(0.5, 0.45, sigma=9.0)

# %% [markdown]
# ## Second rung: several Gaussians, ranked
#
# CPL predicts $P$ pairs $(c_k, w_k)$, reconstructs the sentence through each mask, and trains the best:
# $k^* = \arg\min_k a_k$, loss $a_{k^*}$. At test time the same ranking gives the answer. Who gets a gradient?

# %% jupyter={"source_hidden": true}
from vmlkit.metrics.moments import moment_metrics, order_by_nll, vote
from vmlkit.reconstruction.front import pick

nll = torch.tensor([[2.1, 1.7, 2.4]], requires_grad=True)
best = nll.argmin(dim=1)
pick(nll, best).mean().backward()
print("from best to worst:", order_by_nll(nll.detach().numpy())[0], "  gradient:", nll.grad[0].tolist())
assert nll.grad[0].tolist() == [0.0, 1.0, 0.0], "only the winner learns from the sentence"

# %% [markdown]
# The losers learn nothing from this sentence. What keeps them from all becoming the winner is CPL's diversity term: the
# rows of $G$ are the masks, each divided by its sum, and
#
# $$L_{div} = \left\| \lambda I - G G^\top \right\|_F^2 .$$
#
# By hand, two masks on four cells that share one: $G = \begin{pmatrix}1&0&0&0\\ \frac12&\frac12&0&0\end{pmatrix}$, so
# $GG^\top = \begin{pmatrix}1&\frac12\\ \frac12&\frac12\end{pmatrix}$. With $\lambda = \frac12$ the squares add up to
# $\frac14+\frac14+\frac14+0 = \frac34$. Move the second mask away and only the first $\frac14$ stays.

# %%
from vmlkit.reconstruction.losses import diversity

touching = torch.tensor([[[1.0, 0, 0, 0], [1, 1, 0, 0]]])
apart = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 1, 1]]])
print("touching:", float(diversity(touching, 0.5)), "  apart:", float(diversity(apart, 0.5)))
assert (float(diversity(touching, 0.5)), float(diversity(apart, 0.5))) == (0.75, 0.25)
nb.show_source(diversity)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Take it away: one proposal
#
# With $P = 1$ there is nothing to rank, and with $\sigma = \sqrt{2\alpha}$ the mask is CNM's. Of the
# diversity term one number is left, the diagonal, and it is about *width* only:

# %% jupyter={"source_hidden": true}
one_mask = peak_gaussian(half[None, None], half[None, None], 16, sigma=4.0)
diagonal = (one_mask**2).sum() / one_mask.sum() ** 2
assert torch.allclose(diversity(one_mask, 0.26), (0.26 - diagonal) ** 2)
for width in (0.2, 0.4, 0.8):
    mask = peak_gaussian(half[None, None], torch.tensor([[width]]), 16, sigma=4.0)
    print(f"width {width}: diagonal {float((mask**2).sum() / mask.sum() ** 2):.3f}, target 0.26")

# %% [markdown]
# ## Third rung: a mixture
#
# PPS: proposal $i = 0, 1, \dots$ has $i + 1$ Gaussians, each with a score read from the reconstructor;
# $q_i = \mathrm{softmax}_j(\mathrm{score}_{ij})$ and
#
# $$m_i = \sum_j q_{ij}\, g_{ij} .$$
#
# By hand, two proposals: scores $0$ for the first; $\log 3$ and $0$ for the second, whose weights are thus
# $\frac34, \frac14$. With components at $\frac14$ and $\frac34$ and $w/\sigma = \frac18$, each Gaussian is
# $e^{-8}$ at the center of the other: the mask there is $\frac34 + \frac14 e^{-8}$ and $\frac14 + \frac34 e^{-8}$.

# %% jupyter={"source_hidden": true}
from vmlkit.reconstruction.mixtures import component_weights

q = component_weights(torch.tensor([[1.0, 3.0, 1.0]]).log(), proposals=2)
components = peak_gaussian(torch.tensor([0.25, 0.75]), torch.tensor([0.5, 0.5]), 5, sigma=4.0)
mixture = q[0, 1] @ components
print("weights:", q[0].numpy().round(3).tolist(), "  mask:", mixture.numpy().round(4))
assert np.isclose(mixture[1], 0.75 + 0.25 * np.exp(-8))
assert np.isclose(mixture[3], 0.25 + 0.75 * np.exp(-8))

# %% [markdown]
# The whole of it, as it runs. `share_widths` decides whose width a component uses; remember it for later.

# %%
from vmlkit.reconstruction.pps import PPS

nb.show_source(PPS.positives)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Take it away: one component
#
# A model with one proposal has one component with $q = 1$: its mask must be the Gaussian of the
# second rung, and the two new losses (*Pull and push*, below) must vanish.

# %% jupyter={"source_hidden": true}
from vmlkit.text.masking import draw_masked_words

batch = splits.train.batch(range(4))
masked = draw_masked_words(batch.word_weights, batch.word_mask, torch.Generator().manual_seed(seed))
single = build(with_overrides(experiment, {"model.proposals": 1}), splits.train).eval()
with torch.no_grad():
    proposals = single.positives(single.encode(batch, masked))
cells = proposals.masks.shape[-1]
plain = peak_gaussian(proposals.centers, proposals.widths, cells, sigma=single.config.sigma_gauss)
terms = single.regularisers(proposals).terms
print("weights:", proposals.weights.flatten().tolist())
print("losses: ", {name: round(float(term), 4) for name, term in terms.items()})
assert torch.allclose(proposals.masks, plain)
assert float(terms["pull"]) == float(terms["push_intra"]) == 0

# %% [markdown]
# ## What lambda does to widths
#
# For a Gaussian of standard deviation $s$ on cells $\Delta$ apart, replace sums by integrals:
# $\sum_i g_i \approx s\sqrt{2\pi}/\Delta$ and $\sum_i g_i^2 \approx s\sqrt{\pi}/\Delta$. The diagonal of $GG^\top$ is
#
# $$\frac{\sum_i g_i^2}{(\sum_i g_i)^2} \approx \frac{\Delta}{2\sqrt{\pi}\, s} .$$
#
# $L_{div}$ pulls it to $\lambda$. With $s = w/\sigma$ and $\Delta \approx 1/S$, the term is zero at
#
# $$w^* = \frac{\sigma}{2\sqrt{\pi}\,\lambda S} .$$
#
# So $\lambda$, $\sigma$ and the grid $S$ *together* fix every width, before any sentence is read. CPL's released
# numbers for Charades-STA:

# %%
print(f"sigma 9, lambda .146, 50 cells: w* = {natural_width(9, 0.146, 50):.3f}")
print(f"the same on 16 cells:           w* = {natural_width(9, 0.146, 16):.3f}  (the whole video is 1)")

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### (a) The term alone
#
# No model, no sentence: let gradient descent move widths until $L_{div}$ is content.


# %% jupyter={"source_hidden": true}
def settle_widths(targets: list[float], sigma: float, cells: int, steps: int = 150) -> np.ndarray:
    """The width of one centred Gaussian per target that minimises the diversity term."""
    raw = torch.zeros(len(targets), 1, requires_grad=True)
    optimizer = torch.optim.Adam([raw], lr=0.1)
    for _ in range(steps):
        masks = peak_gaussian(torch.full_like(raw, 0.5), raw.sigmoid(), cells, sigma=sigma)
        loss = sum(diversity(mask[None, None], target) for mask, target in zip(masks[:, 0], targets, strict=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return raw.detach().sigmoid().numpy()[:, 0]


targets = [0.15, 0.2, 0.26, 0.32, 0.4]
settled = {cells: settle_widths(targets, 4.0, cells) for cells in (16, 50)}
for cells, widths in settled.items():
    formula = np.array([natural_width(4, target, cells) for target in targets])
    print(f"{cells} cells: settled {widths.round(3)}, w* {formula.round(3)}")
    print(f"          ratio   {(widths / formula).round(3)}, S / (S - 1) = {cells / (cells - 1):.3f}")
assert all(np.all(np.diff(widths) < 0) for widths in settled.values()), "a larger lambda is a smaller width"

# %% [markdown]
# The formula holds, but for a constant factor that depends on the grid: $S/(S-1)$, because $S$ cells from 0 to 1 are
# $1/(S-1)$ apart and not $1/S$. Nobody's grid is coarse enough to mind, except a teaching one.

# %% [markdown]
# ### (b) In training
#
# Now CPL on the toy world, a few hundred sentences and three epochs: far too little to localise anything, enough to see
# where widths go. First with the released weight of the term ($\alpha_2 = 5$), then with a tenth of it.

# %% jupyter={"source_hidden": true}
brief = {"data.max_train_queries": 320, "data.max_validation_queries": 48, "data.max_test_queries": 48}
brief |= {"train.epochs": 3, "train.warmup_updates": 10, "train.probe_queries": 48, "train.strip_frames": 1}
short = dataclasses.replace(page, size="ci").preset("cpl", {**brief, "test_draws": 1})
few = page.load(short)


def train_widths(sigma: float, target: float, weight: float) -> pd.Series:
    """Mean width of the proposals before training and after each epoch."""
    settings = {"model.sigma": sigma, "model.diversity_target": target, "model.diversity_weight": weight}
    place = f"sigma-{sigma:g}-lambda-{target:g}-weight-{weight:g}"
    run = page.train(with_overrides(short, settings), place, splits=few)
    return run.proposals.query("role == 'positive'").groupby("epoch").width.mean()


trained = {target: train_widths(4.0, target, 5.0) for target in (0.15, 0.26, 0.4)}
weak = train_widths(4.0, 0.26, 0.5)
falling = trained[0.15].iloc[-1] > trained[0.26].iloc[-1] > trained[0.4].iloc[-1]
page.expect(falling, "a larger lambda does not make windows narrower")

# %% jupyter={"source_hidden": true}
for target, widths in trained.items():
    print(f"lambda {target:.2f}: w* {natural_width(4, target, 16):.2f}, trained with weight 5   {widths.iloc[-1]:.2f}")
print(f"lambda 0.26: w* {natural_width(4, 0.26, 16):.2f}, trained with weight 0.5 {weak.iloc[-1]:.2f}")
page.expect(weak.iloc[-1] > trained[0.26].iloc[-1], "with a tenth of the weight windows do not get wider")

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### (c) A published number on another grid
#
# Published for 50 cells, $\lambda = 0.146$ is a different instruction on the 16 cells of a smaller model.
# `published_cells` rescales it by 50/16; `None` takes it as it stands.

# %% jupyter={"source_hidden": true}
from vmlkit.reconstruction.cpl import CPLConfig

released, cells = CPLConfig(), 16
rescaled = released.diversity_at(cells)
unscaled = released.diversity_target
print(f"lambda {unscaled} for {released.published_cells} cells is {rescaled:.3f} for {cells}")
on_16 = {target: train_widths(9.0, target, 5.0) for target in (unscaled, rescaled)}
for target, widths in on_16.items():
    print(f"sigma 9, lambda {target:.3f}: w* {natural_width(9, target, cells):.2f}, trained {widths.iloc[-1]:.2f}")
page.expect(on_16[unscaled].iloc[-1] > on_16[rescaled].iloc[-1], "the published lambda does not make windows wider")

# %% jupyter={"source_hidden": true}
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
x = np.linspace(0.13, 0.42, 100)
left.plot(x, [natural_width(4, v, 16) for v in x], color=SERIES[0][0], label="w* (formula)")
left.plot(targets, settled[16], "x", color=SERIES[1][0], label="(a) term alone")
last_widths = [w.iloc[-1] for w in trained.values()]
left.plot(list(trained), last_widths, "o", color=ROLES["chosen"].color, label="(b) trained, weight 5")
left.plot([0.26], weak.iloc[-1:], "o", mfc="white", color=ROLES["chosen"].color, label="(b) weight 0.5")
left.set(xlabel="lambda", ylabel="mean width", title="sigma 4, 16 cells", ylim=(0, 1.2))
left.legend()
for (target, widths), (color, _), name in zip(on_16.items(), SERIES, ("as published", "rescaled"), strict=False):
    right.plot(widths.index, widths, "o-", color=color, label=f"{name}: lambda {target:.3f}")
    right.axhline(natural_width(9, target, 16), color=color, linestyle=":")
right.set(xlabel="epoch", title="(c) sigma 9, 16 cells; dotted: w*", ylim=(0, 1.2), xticks=range(4))
right.legend(loc="center right")
_ = save_figure(fig, "figures/02_gaussian_proposals_lambda.png")

# %% [markdown]
# *Left: widths against $\lambda$. Right: the published $\lambda$ on 16 cells, taken literally and rescaled.* A dotted
# line above 1 asks for a window longer than the video.

# %% [markdown]
# Three readings.
#
# - $\lambda$ says *which* width, $\alpha_2$ how firmly. The rest of the loss pulls widths **up** here; with a tenth of
#   the weight it wins.
# - The term is steep for narrow windows and flat for wide ones (the diagonal goes like $1/w$), so a small $\lambda$
#   holds least.
# - A $\lambda$ without its $\sigma$ and its grid is no setting at all. This is why CPL is called sensitive to
# $\lambda$.

# %% [markdown]
# ## Pull and push
#
# PPS regularises the *components* of a proposal. **Pull**: $(\max_j c_{ij} - \min_j c_{ij})^2$. **Push within**: the
# diversity term among the components. **Push between**: the diversity term among mixtures, as in CPL.
#
# By hand: centers $0.2$ and $0.6$ give a pull of $0.4^2 = 0.16$, and the push within one proposal is `diversity` of its
# components.

# %% jupyter={"source_hidden": true}
from vmlkit.reconstruction.mixtures import component_diversity, pull

both = torch.ones(1, 2, dtype=torch.bool)
pulled = pull(torch.tensor([[[0.2, 0.6]]]), both)
pushed = component_diversity(touching[:, None], both, 0.5)
print(f"pull {float(pulled):.2f}, push {float(pushed):.2f}")
assert np.isclose(float(pulled), 0.4**2)
assert float(pushed) == float(diversity(touching, 0.5)) == 0.75

# %% [markdown]
# Let go of three components that obey nothing else, under pull alone, push alone, both with equal weights, and both
# with the weights that PPS uses on ActivityNet (and this library on the toy world).


# %% jupyter={"source_hidden": true}
def settle_components(pull_weight: float, push_weight: float, steps: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Centers and widths (steps / 10, 3) of three free components with one shared width."""
    center = torch.tensor([[[0.15, 0.45, 0.55]]], requires_grad=True)
    width = torch.full((1, 1, 1), 0.27, requires_grad=True)
    optimizer, path, three = torch.optim.Adam([center, width], lr=0.005), [], torch.ones(1, 3, dtype=torch.bool)
    for _ in range(steps):
        path.append(torch.cat((center[0, 0], width.expand(1, 1, 3)[0, 0])).detach().numpy().copy())
        masks = peak_gaussian(center, width.expand(1, 1, 3), 16, sigma=4.0)
        loss = pull_weight * pull(center, three) + push_weight * component_diversity(masks, three, 0.26)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return tuple(np.split(np.stack(path)[::10], 2, axis=1))


used = experiment.model.pull_weight, experiment.model.intra_push_weight
as_used = f"{used[0]:g} : {used[1]:g}"
weights = {"pull alone": (1.0, 0.0), "push alone": (0.0, 1.0), "1 : 1": (1.0, 1.0), as_used: used}
paths = {name: settle_components(*pair) for name, pair in weights.items()}
for name, (centers, widths) in paths.items():
    spread, before, after = np.ptp(centers[-1]), widths[0, 0], widths[-1, 0]
    print(f"{name:11s} first to last center: {spread:.3f}   width: {before:.2f} -> {after:.2f}")

# %%
figure = draw_paths(paths, duration, sigma=4, every=10)
save_figure(figure, "figures/02_gaussian_proposals_pull_push.png")
figure

# %% [markdown]
# *Three components under four losses: seconds to the right, gradient steps downwards; a line is a center, its band one
# standard deviation.* Pull alone makes one Gaussian; push alone spreads them and leaves widths near $w^*$; equal
# weights settle in between. With PPS's weights the pull wins. Three components on one spot overlap fully, and the only
# way left to overlap less is to become *flat*: the push now widens what it can no longer part.

# %%
last = {name: (np.ptp(centers[-1]), widths[-1, 0]) for name, (centers, widths) in paths.items()}
published = last[as_used]
assert last["push alone"][0] > last["1 : 1"][0] > 0.1 > published[0]
assert published[1] > 2 * last["push alone"][1], "collapsed components widen"

# %% [markdown]
# ## Before you train: predict
#
# In a real run the sentence pulls too. The last of the four proposals has four components. After training, **how far
# apart are its first and last center**, as a share of the video? And **how much do the centers of a proposal differ
# from one sentence to the next**? Write two numbers down.

# %% [markdown]
# ## Train PPS

# %%
run = page.train(experiment, "pps", splits=splits)
shown = ["epoch", "loss/nll", "loss/nll_whole_video", "loss/pull", "metric/R@1,mIoU", "metric/R@1,IoU=0.5", "seconds"]
nb.fold("The run, epoch by epoch", run.epochs[shown].round(3).astype(str).set_index("epoch"))

# %%
figure = draw_curves(run, ["loss/nll", "loss/pull", "metric/R@1,mIoU"])
save_figure(figure, "figures/02_gaussian_proposals_curves.png")
figure

# %% [markdown]
# *Two terms of the loss and validation mIoU over epochs.* The pull is near zero within an epoch or two.

# %% [markdown]
# ## Watch it learn
#
# First without a mouse: one sentence, four epochs.

# %% jupyter={"source_hidden": true}
final = run.proposals[run.proposals.epoch == run.proposals.epoch.max()]
answers = final[final.chosen].set_index("query_id").iou
first = run.proposals[(run.proposals.epoch == 0) & run.proposals.chosen].set_index("query_id").iou
learned = (answers - first).sort_values(ascending=False).index
figure = draw_epochs(run, learned[0])
save_figure(figure, "figures/02_gaussian_proposals.png")
figure

# %% [markdown]
# *The recorded sentence whose answer improved most, so a favourable one. Mixtures are drawn as the Gaussian of their
# mean center and width; hanging curves are learned negatives.* Now all recorded sentences, failures included:

# %%
scrubber(run, query=learned[0])

# %% [markdown]
# ## What became of the mixtures
#
# Look inside the trained model: components, weights, and how much either depends on the sentence.

# %% jupyter={"source_hidden": true}
method, _, _ = load_run(run.path, progress=False)
probe = splits.test.batch(range(min(128, len(splits.test))))
hidden = draw_masked_words(probe.word_weights, probe.word_mask, torch.Generator().manual_seed(seed))
with torch.no_grad():
    encoded = method.encode(probe, hidden)
    made = method.positives(encoded)
inside = []
for i in range(made.centers.shape[1]):
    centers = made.component_centers[:, i, : i + 1]
    apart = float((centers.amax(1) - centers.amin(1)).mean())
    across, heaviest = float(made.centers[:, i].std()), float(made.weights[:, i].amax(1).mean())
    row = (i + 1, float(made.centers[:, i].mean()), float(made.widths[:, i].mean()), apart, heaviest, across)
    inside.append(row)
names = ["components", "center", "width", "first to last center", "largest weight", "sd of center over sentences"]
inside = pd.DataFrame(inside, columns=names)
inside.round(3)

# %% jupyter={"source_hidden": true}
at = list(probe.query_ids).index(splits.test.query_ids[example])
rows = {}
for i in range(made.centers.shape[1]):
    parts = (made.component_centers, made.component_widths, made.weights)
    rows[f"proposal {i}"] = [tuple(part[at, i, : i + 1].tolist() for part in parts)]
figure = draw_mixtures(strip, duration, tuple(span_s), rows, sigma=method.config.sigma_gauss, sentence=sentence)
save_figure(figure, "figures/02_gaussian_proposals_inside.png")
figure

# %% [markdown]
# *The four trained mixtures for the sentence of the first picture, components included.* Two surprises, and the table
# above has both. The components of a proposal sit on one spot with equal weights: the mixture is a Gaussian again, as
# free components foretold. And a proposal hardly moves from one sentence to the next: the model has learned **four
# windows** and *ranks* them.

# %%
page.expect(inside["first to last center"].max() < 0.15, "a mixture stayed a mixture")
page.expect(inside["sd of center over sentences"].max() < 0.15, "proposals follow the sentence")

# %% [markdown]
# How much of the result is the ranking? Replace every proposal by its mean over all test sentences, and keep the order
# that the model gave.

# %% jupyter={"source_hidden": true}
from vmlkit.training.evaluate import evaluate

scores, said = evaluate(method, splits.test, seed)
frozen = np.broadcast_to(said.proposals.mean(axis=0), said.proposals.shape)
kept = ["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,mIoU", "R@5,IoU=0.5", "R@5,mIoU"]
frozen_scores = moment_metrics(frozen, said.order, said.top1, said.truth)
table = {"its own proposals": scores, "four fixed windows, same order": frozen_scores}
apart = abs(scores["R@1,mIoU"] - frozen_scores["R@1,mIoU"])
page.expect(apart < 0.03, "it matters where proposals go")
metrics_table({name: {m: row[m] for m in kept} for name, row in table.items()}, len(said.truth)).round(1)

# %% [markdown]
# The proposals could as well be constants. What the model has learned, at this size, is to *read* which of its windows
# a sentence is about, and that is worth everything it scores above a constant answer.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## Voting
#
# PPS does not answer with the lowest NLL. Every proposal votes for those it overlaps: $v_i = \sum_j c_j\,
# \mathrm{IoU}(i, j)$. The rules differ in $c_j$: all one (`activitynet`), overlap with the best (`charades`, CPL), or
# one minus the relative NLL (`pps_charades`). Voting helps where proposals crowd around the answer. Do four windows
# that a push keeps apart crowd?

# %% jupyter={"source_hidden": true}
rules = {}
for rule in ("none", "charades", "pps_charades", "activitynet"):
    winner = vote(said.proposals, said.nll, rule)
    rules[rule] = moment_metrics(said.proposals, said.order, winner, said.truth)
rules["best of the four (not an answer)"] = {
    name: scores[name.replace("R@1", "R@5")] for name in scores if name.startswith("R@1") and "mIoN" not in name
}
kept = ["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU"]
metrics_table({name: {m: row[m] for m in kept} for name, row in rules.items()}, len(said.truth)).round(1)

# %% [markdown]
# A plain majority asks the NLL only to break ties: it elects whichever window happens to overlap its neighbours most,
# and gives away what the ranking had learned. Rules whose $c_j$ know the NLL change little. R@5 is always read before
# any vote.

# %% [markdown]
# ## What R@5 tells you
#
# R@5 counts a sentence when *any* of five answers hits. Five answers can simply tile the video. Fit windows to the
# **training** spans, greedily, and give the same ones to every test sentence:

# %% jupyter={"source_hidden": true}
from vmlkit.metrics.baselines import best_constant_windows

windows = best_constant_windows(splits.train.spans, threshold=0.5, count=5)
print("the five windows:", windows.round(3).tolist())
own = said.proposals.mean(axis=0).astype(float)
print("the windows PPS learned:", own[own[:, 0].argsort()].round(3).tolist())
four = np.broadcast_to(windows[:4], (len(said.truth), 4, 2))
by_rank = np.broadcast_to(np.arange(4), four.shape[:2])
kept = ["R@1,IoU=0.5", "R@5,IoU=0.3", "R@5,IoU=0.5", "R@5,IoU=0.7"]
table = {"PPS, this run (4 proposals)": scores}
table["four constant windows"] = moment_metrics(four, by_rank, by_rank[:, 0], said.truth)
table["five constant windows"] = run.metrics["baselines"]["best constant window (IoU=0.5)"]
metrics_table({name: {m: row[m] for m in kept} for name, row in table.items()}, len(said.truth)).round(1)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### On real annotations
#
# On those of Charades-STA the same windows need no features, only spans: `vmlkit priors charades`
# fits them on the training moments. The published rows are the papers' own, as P0 (*learnable negative proposals*,
# ACM MM 2024) tabulates them.

# %% jupyter={"source_hidden": true}
hit, columns = "best constant window (IoU=0.5)", ["R@1,IoU=0.5", "R@5,IoU=0.5"]
published = {"CPL": [49.24, 84.71], "PPS": [51.49, 86.23], "P0 on PPS": [53.04, 90.03]}
real = part("charades", "test")
windows = [real["percent"][hit][column] for column in columns]
rows = {name: [*values, "as published"] for name, values in published.items()}
rows["five constant windows"] = [*windows, f"{real['scored']:,} test queries of {real['file']}"]
pd.DataFrame.from_dict(rows, orient="index", columns=[*columns, "source"]).round(2)

# %%
beaten = {c: [n for n, v in published.items() if v[i] > windows[i]] for i, c in enumerate(columns)}
nb.say(" ".join(f"Above the constant windows in {c}: {', '.join(names) or 'none'}." for c, names in beaten.items()))

# %% [markdown]
# ### What to take from it
#
# At R@1 a model must *choose*. At R@5 it need not: moments are short and alike, and five answers that never look at a
# video cover them. Print the windows beside every R@5.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## Paper against code

# %% [markdown]
# | | paper | released code | here |
# | --- | --- | --- | --- |
# | CPL: negatives grow over epochs | yes | off on ActivityNet | `gamma` |
# | CPL: without negatives | silent | the NLL is counted twice | as released |
# | PPS: whose width? | its own | another sentence's | `component_widths` |
# | PPS: query token | one learned vector | a scalar per place in the batch | `query_token` |
# | PPS: negatives | silent | learned, trained by the ranking | `neg_type` |
# | PPS: a second generator | none | runs, is never read | left out |

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Whose width is it?
#
# Each proposal uses one width for all its components. The released code flattens the widths of the whole batch and
# takes the first $B$ entries, so a sentence gets a width by its *place in the batch*. Three sentences, the
# two-component proposal, widths written as (own sentence).(component):

# %%
from vmlkit.reconstruction.mixtures import share_widths

widths = torch.tensor([[0.0, 1.1, 1.2], [0.0, 2.1, 2.2], [0.0, 3.1, 3.2]])  # the first column is proposal 0's
for mode in ("first", "released"):
    taken = share_widths(widths, proposals=2, mode=mode)[:, 1]
    print(f"{mode:9s}: sentence 1, 2, 3 use {[round(w, 1) for w in taken.tolist()]}")
assert [round(w, 1) for w in share_widths(widths, 2, "released")[:, 1].tolist()] == [1.1, 1.2, 2.1]

# %% [markdown]
# Sentence 2 looks through sentence 1's width. Now the trained model, once as it is and once with the released indexing:
# does the span of one sentence depend on the order of its batch?

# %% jupyter={"source_hidden": true}
order = torch.arange(16)
modes = {}
for mode in ("first", "released"):
    variant = build(with_overrides(experiment, {"model.component_widths": mode}), splits.train).eval()
    variant.load_state_dict(method.state_dict())
    found = []
    for rows_in_batch in (order, order.flip(0)):
        said_by = variant.predict(splits.test.batch(rows_in_batch), torch.Generator().manual_seed(seed))
        i = int((rows_in_batch == 5).nonzero())
        found.append(torch.stack((said_by.starts[i, 3], said_by.ends[i, 3])))
    modes[mode] = found
    print(f"{mode:9s}: span of sentence 5 in order {found[0].numpy().round(4)}, reversed {found[1].numpy().round(4)}")
assert torch.allclose(*modes["first"], atol=1e-3)
assert not torch.allclose(*modes["released"], atol=1e-3), "with the released indexing the batch order must show"

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Negatives were already learned
#
# A later paper (notebook 03) proposes *learnable* negatives. The released PPS has them as its default, trained by the
# ranking loss and nothing else:

# %% jupyter={"source_hidden": true}
from vmlkit.training.method import Progress

fresh = build(experiment, splits.train)
losses = fresh.losses(fresh(batch, masked, Progress(1, 1))).terms
head = fresh.negative_head.weight
(reached,) = torch.autograd.grad(losses["rank_negative"], head, retain_graph=True)
others = sum(term for name, term in losses.items() if name != "rank_negative")
(missed,) = torch.autograd.grad(others, head, allow_unused=True)
print(f"{fresh.config.neg_type}: gradient from the ranking {float(reached.norm()):.4f}, from the rest {missed}")
assert float(reached.norm()) > 0
assert missed is None

# %% jupyter={"source_hidden": true}
_, spans = method.negatives(encoded, made)
centers, widths = (values.detach() for values in spans)
border = torch.minimum(centers, 1 - centers)
print(
    f"a learned negative: width {float(widths.mean()):.3f}, center {float(border.mean()):.3f} from the nearer border,"
)
print(f"standard deviation of its center over sentences {float(centers.std(dim=0).mean()):.4f}")
costs = run.epochs.set_index("epoch")["loss/rank_negative"]
print(f"cost of the ranking against it: epoch 1 {costs[1]:.4f}, last epoch {costs.iloc[-1]:.4f}")

# %% jupyter={"source_hidden": true}
band = {f"trained width, lambda {target:g}": widths.iloc[-1] for target, widths in trained.items()}
band |= {"trained width, weight 0.5": weak.iloc[-1]}
band |= {f"trained width, {n}": w.iloc[-1] for n, w in zip(("as published", "rescaled"), on_16.values(), strict=True)}
band |= {f"PPS {m}": scores[m] for m in ("R@1,IoU=0.5", "R@1,mIoU", "R@5,IoU=0.5", "R@5,mIoU")}
band |= {"fixed windows R@1,mIoU": frozen_scores["R@1,mIoU"], "vote R@1,mIoU": rules["charades"]["R@1,mIoU"]}
band |= {"NLL": run.epochs["loss/nll"].iloc[-1], "pull": run.epochs["loss/pull"].iloc[-1]}
band |= {"width of a negative": widths.mean(), "distance of a negative from the border": border.mean()}
exact = {"test sentences": len(said.truth), "natural width": natural_width(4, 0.26, 16)}
exact |= {f"settled width on {cells} cells": found[2] for cells, found in settled.items()}
exact |= {"pushed alone: spread": last["push alone"][0]}
exact |= {f"five windows {m}": table["five constant windows"][m] for m in ("R@1,IoU=0.5", "R@5,IoU=0.5")}
wide, middle, narrow = (f"trained width, lambda {target:g}" for target in trained)
pairs = [(wide, middle), (middle, narrow), ("trained width, weight 0.5", middle)]
nb.record(exact=exact, band=band, above=[*pairs, ("trained width, as published", "trained width, rescaled")])

# %% [markdown]
# Read the width, the distance from a border and the spread over sentences: is such a negative hard to beat? Notebook 03
# is about negatives that are asked to become *hard*.

# %% [markdown]
# ## Claims measured
#
# One run is an anecdote. A study repeats it over many seeds, outside this notebook, and an interval that counts seeds
# and test videos gives each claim its word; [What we found](../docs/findings.md) has the rules. Points are seeds, the
# grey band is what would not matter, a star marks what the study is made for.

# %%
show_study("cpl", metrics=("R@1,mIoU", "R@1,IoU=0.5", "R@5,mIoU", "R@5,IoU=0.5"))

# %% [markdown]
# Compare R@1 and R@5 of one row in the folded table with those of the constant windows: how much is left of the model's
# lead where it need not choose?

# %% [markdown]
# ## Exercises
#
# ### 1. Predict: which lambda fits your moments?
#
# *5 minutes, easy.*
#
# You move CPL to a data set whose moments take a share $w$ of their videos on average. Turn the formula of $w^*$
# around.
#
# <details><summary>Hint 1</summary>Width and lambda stand in for each other: their product is fixed.</details>
#
# <details><summary>Hint 2</summary>solve w = sigma / (2 sqrt(pi) lambda S) for lambda.</details>


# %% tags=["exercise"]
def lambda_for(width: float, sigma: float, cells: int) -> float:
    """The diversity target whose natural width is ``width``."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_lambda_for(width: float, sigma: float, cells: int) -> float:
    """The diversity target whose natural width is ``width``."""
    return sigma / (2 * np.pi**0.5 * width * cells)


# %% jupyter={"source_hidden": true} tags=["check"]
mean_width = float(np.diff(splits.train.spans).mean())
own = 4.0 / (2 * np.pi**0.5 * mean_width * 16)
exercises.check(
    lambda_for,
    [
        ((0.348, 9.0, 50), lambda given: abs(given - 0.146) < 1e-3, "Charades-STA must get the published .146."),
        ((natural_width(4.0, 0.26, 16), 4.0, 16), 0.26, "`natural_width` of your lambda must be the width."),
        ((mean_width, 4.0, 16), own, "Width and lambda stand in for each other."),
    ],
    then=lambda: f"Training moments take {mean_width:.3f} of their video: lambda {own:.3f} (the preset has 0.26).",
)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### 2. Modify: a vote by rank
#
# *10 minutes, medium.*
#
# Give proposal $j$ the voice $c_j = 1/(1 + r_j)$, where $r_j$ is its rank by NLL (0 is best), and let
# $v_i = \sum_j c_j\,\mathrm{IoU}(i,j)$ decide. `vmlkit.spans.iou(a, b)` broadcasts.
#
# <details><summary>Hint 1</summary>The rank of each entry is <code>argsort().argsort()</code>.</details>
#
# <details><summary>Hint 2</summary><code>iou(proposals[:, None], proposals)</code> is the (P, P) table of overlaps;
# multiply it by the voices.</details>

# %%
from vmlkit.spans import iou


# %% tags=["exercise"]
def rank_vote(proposals: np.ndarray, nll: np.ndarray) -> int:
    """Index of the winner among proposals (P, 2) with NLL (P,)."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_rank_vote(proposals: np.ndarray, nll: np.ndarray) -> int:
    """Index of the winner among proposals (P, 2) with NLL (P,)."""
    voice = 1 / (1 + nll.argsort().argsort())
    return int((iou(proposals[:, None], proposals) @ voice).argmax())


# %% jupyter={"source_hidden": true} tags=["check"]
three = np.array([[0.0, 0.2], [0.5, 0.9], [0.5, 0.9]])


def on_the_test_split() -> str:
    """What the vote does to mIoU."""
    by_rank = np.array([rank_vote(p, n) for p, n in zip(said.proposals.astype(float), said.nll, strict=True)])
    changed = moment_metrics(said.proposals, said.order, by_rank, said.truth)["R@1,mIoU"]
    return f"mIoU: lowest NLL {100 * rules['none']['R@1,mIoU']:.1f}, vote by rank {100 * changed:.1f}."


exercises.check(
    rank_vote,
    [
        ((three, np.array([1.0, 3.0, 2.0])), 0, "1 for the first against 1/2 + 1/3 for the pair."),
        ((three, np.array([2.0, 3.0, 1.0])), lambda given: given in (1, 2), "1 + 1/3 for the pair against 1/2."),
        ((three[[0, 1, 1, 1]], np.arange(4.0)), lambda given: given > 0, "1 against 1/2 + 1/3 + 1/4 for the three."),
    ],
    then=on_the_test_split,
)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### 3. Prove: who feels the pull?
#
# *8 minutes, medium.*
#
# Write the gradient of $(\max_j c_j - \min_j c_j)^2$ with respect to the centers of one proposal (no ties). What does
# it say to the components in between?
#
# <details><summary>Hint 1</summary>Only two centers appear in the formula. Which?</details>
#
# <details><summary>Hint 2</summary>the derivative of a square is twice its root; the sign is that of the center in the
# difference.</details>


# %% tags=["exercise"]
def pull_gradient(centers: np.ndarray) -> np.ndarray:
    """Gradient of the pull with respect to ``centers`` (J,)."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_pull_gradient(centers: np.ndarray) -> np.ndarray:
    """Gradient of the pull with respect to ``centers`` (J,)."""
    gradient = np.zeros_like(centers)
    gradient[centers.argmax()], gradient[centers.argmin()] = 2 * np.ptp(centers), -2 * np.ptp(centers)
    return gradient


# %% jupyter={"source_hidden": true} tags=["check"]
cases = []
for centers in ([0.15, 0.45, 0.55], [0.9, 0.2], [0.4]):
    free = torch.tensor([[centers]], dtype=torch.float64, requires_grad=True)
    pull(free, torch.ones(1, len(centers), dtype=torch.bool)).backward()
    why = "It is twice the range, with opposite signs, at the two outermost components."
    cases.append(((np.array(centers),), free.grad[0, 0].numpy(), why))
exercises.check(pull_gradient, cases, then="The one in between feels nothing until it is outermost itself.")

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### 4. Measure: can a mixture stay a mixture?
#
# *30 minutes, open.*
#
# Train `page.preset("pps", {"model.intra_push_weight": 0.5})` as `page.train(..., "pushed")`. Look inside as above: do
# components stay apart? Does mIoU go up or down, over three seeds? Remember how a mixture's *span* is made from its
# components (`PPS.positives`), and think about what a window with two humps should answer.

# %% [markdown]
# ## What to read next
#
# [03](03_dual_signed_negatives.ipynb): negatives that are learned on purpose, first easy, then hard, on top of any rung
# of this ladder.
