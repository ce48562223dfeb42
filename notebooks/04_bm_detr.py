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
# # BM-DETR: what a sentence about another moment can teach
#
# **Here the time labels are given. The question is what else a second sentence of the same video can say.**
# This page takes BM-DETR (*background-aware moment detection*, WACV 2025) apart, beside its ancestors Moment-DETR and
# QD-DETR, and runs it in two modes: as its authors released it, and as its paper says.
#
# Time: about a minute at `ci` size on two cores, several minutes at `demo` size. No GPU, no download.
#
# Words and symbols of all pages: [glossary](glossary.md).

# %% [markdown]
# **You need:** the tour; what a transformer with an encoder and a decoder is. The masks of pages 01 to 03 are not
# needed.
#
# **Afterwards you can** match a set of predictions by hand; say what reaches a decoder and what does not, by changing
# one input; tell a probability that is inverted from one that is learned.
#
# **Path:** before this page comes [03: negatives that learn](03_dual_signed_negatives.ipynb); next is [05: actions
# with text](05_actions_with_text.ipynb).

# %% [markdown]
# ## The question
#
# A detector learns *when* "the blue star slides to the left" happens from labelled videos. It may do so by learning
# where moments tend to lie. BM-DETR's idea: take a **negative query**, a sentence about *another* moment of the same
# video. A clip that matches it is background for ours. Does that help, and does the released program use it?

# %% tags=["parameters"]
size = "ci"  # "ci": a minute; "demo": several minutes; "long": the longest run of the toy world
seed = 0
data = "toy"  # real sentences: "planted:charades_cd" needs annotations only, "charades_sta" features as well
annotations = ""  # their folder; empty looks below $VMLKIT_DATA
features = ""
device = "auto"  # "cpu", "cuda", or a card where there is one
run_dir = "runs/04_bm_detr"  # other values of the above get folders of their own beside it

# %% jupyter={"source_hidden": true}
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

import vmlkit as vk
from vmlkit.detr.shift import Branch
from vmlkit.viz import notebook as nb
from vmlkit.viz.filmstrip import draw_film_strip
from vmlkit.viz.style import ROLES, SERIES, save_figure

files = {"annotations": annotations, "features": features}
page = vk.open_page(run_dir, size=size, seed=seed, data=data, **files, device=device, methods=["qd-detr", "bm-detr"])
exercises = vk.Exercises(3)
# one branch a step: the shifted copy of each video doubles the cost, and the claims measure it
experiment = page.preset("bm-detr", {"model.shifting": False})
splits = page.load(experiment)
clips = splits.test.frames.shape[1]

# %% [markdown]
# ## One picture
#
# A test video and all its sentences. For each sentence the others are candidates for a negative query, if they lie
# elsewhere (IoU below 0.5) and do not say nearly the same (a similarity filter; here TF-IDF, below 0.8).

# %% jupyter={"source_hidden": true}
example = next((i for i in range(len(splits.test)) if len(splits.test.candidates.of(i)) >= 2), 0)
video, duration = splits.test.video_ids[example], splits.test.durations[example]
own = [i for i, v in enumerate(splits.test.video_ids) if v == video]
strip = splits.test.film_strip(video, clips, 32)
fig, axes = plt.subplots(2, 1, figsize=(9, 2.6), height_ratios=(1, 1.3), layout="constrained", sharex=True)
draw_film_strip(axes[0], strip, duration)
candidates = set(splits.test.candidates.of(example).tolist())
for row, i in enumerate(own):
    role = "truth" if i == example else "negative" if i in candidates else "positive"
    start, end = splits.test.spans_s[i]
    axes[1].barh(-row, end - start, left=start, height=0.6, color=ROLES[role].color)
    side = {"ha": "left", "x": end + 0.3} if end < 0.6 * duration else {"ha": "right", "x": start - 0.3}
    axes[1].text(y=-row, s=splits.test.sentences[i], va="center", fontsize=8, color=ROLES[role].text, **side)
axes[1].set(yticks=[], xlabel="time (s)", xlim=(0, duration))
_ = save_figure(fig, "figures/04_bm_detr_idea.png")

# %% [markdown]
# *Green: the moment of our sentence. Red: its negative queries.* How many queries have one?

# %%
print(splits.train.candidates.report)

# %% [markdown]
# **Paper against code.** The paper wants negatives from the same video. The released loader reads them from a field
# `neg_query_ids` that **no released file has**, and then draws a sentence of *another* video. On QVHighlights only
# about 2 % of the training queries have any candidate by the paper's rule; on this page `mode` decides.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## Symbols

# %% [markdown]
# | paper | here | shape |
# | --- | --- | --- |
# | $\hat X, \hat Y$ | `Memory.video, Memory.text`: clips and words, encoded together | (B, T, D), (B, L, D) |
# | $p^+, p^-$ | `frame_probability` of the clips encoded with our and with the negative sentence | (B, T) |
# | $p$: P2 Eq. (6) | `Background.joint` | (B, T) |
# | $o$: P2 Eq. (7) | `Background.attention` | (B, T) |
# | $X'$: P2 Eq. (8) | `Background.memory` | (B, T, D) |
# | moment queries | `Moments`: Q spans $(c, w)$ and Q scores | (B, Q, 2) |
#
# B queries, T clips, L words, Q moment queries, D hidden.

# %% [markdown]
# ## A set of answers, matched
#
# All three papers answer with Q windows at once. Training first asks which prediction should stand for the truth: the
# cheapest assignment under $\lambda_{1}|b-\hat b|_1-\lambda_{g}\,\mathrm{gIoU}-\lambda_{c}\,\hat p$. By hand: the
# truth is $(c,w)=(0.5,0.2)$; prediction 0 is far off and sure, prediction 1 is right and unsure.

# %% jupyter={"source_hidden": true}
from vmlkit.detr import criterion
from vmlkit.detr.batches import Targets
from vmlkit.detr.criterion import SetWeights

truth = Targets(torch.tensor([[[0.5, 0.2]]]), torch.tensor([[True]]))
spans = torch.tensor([[[0.1, 0.2], [0.5, 0.2]]])
logits = torch.tensor([[[2.0, 0.0], [0.0, 0.0]]])
weights = SetWeights(match_span=1, match_giou=8, match_class=8)
cost = criterion.match_costs(logits, spans, truth, weights)[0, :, 0]
sure = 1 / (1 + np.exp(-2.0))
by_hand = [0.4 - 8 * -(0.6 - 0.4) / 0.6 - 8 * sure, 0.0 - 8 * 1 - 8 * 0.5]
assert torch.allclose(cost, torch.tensor(by_hand, dtype=torch.float32), atol=1e-5)
print("costs:", cost.numpy().round(3), " matched:", criterion.match(logits, spans, truth, weights)[0].tolist())

# %% [markdown]
# ## Foreground, background, attention
#
# $$p_i = p^+_i\,(1-p^-_i), \qquad o=\mathrm{softmax}(p), \qquad X'_i=o_i\,\hat X_i$$
#
# These are P2 Eq. (6), P2 Eq. (7) and P2 Eq. (8), on the probabilities of P2 Eq. (5). The lines that compute them, and
# where the two modes part:

# %% jupyter={"source_hidden": true}
from vmlkit.detr.bm_detr import BMDetr

nb.show_source(BMDetr.background)

# %% [markdown]
# Two things to see before any training. **First**, $p$ lies in (0, 1), so a softmax over it is nearly flat: the
# largest weight is at most $e$ times the smallest. With T clips every $o_i$ is about $1/T$. **Second**, the release
# runs the softmax over the padding too. A video of 6 clips in a batch padded to 8, and to 16:

# %% jupyter={"source_hidden": true}
p = torch.tensor([0.1, 0.1, 0.9, 0.9, 0.1, 0.1])
table = {"paper: valid clips only": p.softmax(0)}
table |= {f"code, padded to {n}": torch.nn.functional.pad(p, (0, n - 6)).softmax(0)[:6] for n in (8, 16)}
frame = pd.DataFrame({name: o.numpy().round(4) for name, o in table.items()}).T
frame["sum over the video"] = [float(o.sum()) for o in table.values()]
frame.round(3)

# %% [markdown]
# ## The released decoder never sees the score
#
# Where does $X'$ go? The paper sends it to the decoder. In the released program the decoder **has already run**, on
# $\hat X$. So take one batch, one model, and change only the negative sentence:

# %%
nb.show_source(BMDetr.answer)


# %% jupyter={"source_hidden": true}
@torch.no_grad()
def answers(mode: str) -> list:
    """The moments with no negative sentence, with a drawn one, and with another one."""
    torch.manual_seed(seed)
    model = vk.build(vk.with_overrides(experiment, {"model.mode": mode}), splits.train).eval()
    rows, found = torch.arange(16), []
    for draw in (None, 1, 2):
        batch = splits.test.batch(rows)
        if draw is not None:
            draws = torch.Generator().manual_seed(draw)
            batch = splits.test.with_negatives(batch, rows, "same_video", draws, static=False)
        branch = Branch(batch.frames, batch.frame_mask)
        found += model.together([branch], (batch.words, batch.word_mask), batch.negative)
    return found


# %% jupyter={"source_hidden": true}
rows = {}
for mode in ("authors", "paper"):
    without, first, second = answers(mode)
    pairs = {"none against one": (without, first), "one against another": (first, second)}
    for name, (a, b) in pairs.items():
        apart = float((a.moments.spans - b.moments.spans).abs().max())
        heard = float((a.saliency - b.saliency).abs().max())
        rows[f"{mode}: {name}"] = {"spans": apart, "saliency": heard, "spans identical": apart == 0}
        assert (apart == 0) == (mode == "authors")
pd.DataFrame(rows).T

# %% [markdown]
# *Largest change of any predicted span, and of any saliency score.* In `authors` mode the predictions are the same
# **bits**: negatives can shape the encoder through other losses, but they never change an answer. In `paper` mode they
# do. At evaluation there is no negative, so $p=p^+$ in both.

# %% [markdown]
# ## Before you train: predict
#
# 1. In `paper` mode the decoder reads $X'$, whose clips are about $1/T$ of their size. Does it get better or worse?
# 2. After training with negatives, is $p^+$ (all that is left at evaluation) higher inside the moment than outside?
# 3. Trained on early moments only, what happens on late ones?
#
# ## Train
#
# Three runs: QD-DETR, an ancestor whose clips read the sentence by cross-attention, and BM-DETR in both modes.

# %% jupyter={"source_hidden": true}
settings = {"train.epochs": 12, "train.drop_epochs": 9} if (size, data) == ("ci", "toy") else {}
runs = {"QD-DETR": page.train(page.preset("qd-detr"), "qd", splits=splits)}
for mode in ("authors", "paper"):
    variant = vk.with_overrides(experiment, {"model.mode": mode, **settings})
    runs[f"BM-DETR ({mode})"] = page.train(variant, mode, splits=splits)
run = runs["BM-DETR (paper)"]
shown = ["loss/giou", "loss/label", "loss/probability", "loss/alignment", "loss/saliency", "metric/R@1,mIoU", "seconds"]
nb.fold("The run in paper mode, epoch by epoch", run.epochs.set_index("epoch")[shown].round(3).astype(str))

# %% [markdown]
# Each row of a batch holds a video twice, once with each sentence; projection, encoder and losses run on it as **one**
# batch, and the decoder only on the half that matters. The released program makes separate passes, and runs the
# decoder on the negative half to throw the result away (`benchmarks/detr_step.py` measures the difference).

# %% [markdown]
# ## Watch it learn
#
# QD-DETR first, without a mouse: the first recorded sentence at four epochs. A window is drawn as a plateau, the bold
# one is the answer.

# %% jupyter={"source_hidden": true}
from vmlkit.viz.timeline import draw_epochs

draw_epochs(runs["QD-DETR"], runs["QD-DETR"].probe[0]["query_id"])

# %% [markdown]
# Now all recorded sentences: windows at every epoch, the five surest once more as boxes below the truth, and the
# saliency of every clip. Drag the epoch.

# %% jupyter={"source_hidden": true}
from vmlkit.viz.scrubber import save_html, scrubber

scrubber(runs["QD-DETR"], boxes=True)

# %% jupyter={"source_hidden": true}
curves = {name: done.epochs.set_index("epoch")["metric/R@1,IoU=0.5"] for name, done in runs.items()}
fig, ax = plt.subplots(figsize=(6, 2.4), layout="constrained")
for (name, curve), (color, dashes) in zip(curves.items(), SERIES, strict=False):
    ax.plot(curve.index, 100 * curve, color=color, dashes=dashes or (None, None), label=name)
prior = max(row["R@1,IoU=0.5"] for row in run.metrics["baselines"].values())
ax.axhline(100 * prior, color="0.6", linewidth=0.8, label="best location prior (test)")
ax.set(xlabel="epoch", ylabel="R@1, IoU=0.5 (validation)", ylim=(0, None))
ax.locator_params(axis="x", integer=True)
ax.legend(fontsize=8)
_ = save_figure(fig, "figures/04_bm_detr_epochs.png")

# %% [markdown]
# Now BM-DETR in `paper` mode, with the probability and the attention of every clip beside the saliency:

# %%
scrubber(run)

# %% jupyter={"source_hidden": true}
saved = save_html(run, run.path / "scrubber.html")
print(saved, f"{saved.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## Probability and attention over the film strip
#
# What the recorded curves say at the last epoch, for the first recorded sentence. The attention is multiplied by T, so
# that 1 means *no preference*.

# %% jupyter={"source_hidden": true}
record = run.probe[0]
scores, seconds = run.clip_scores, record["duration_s"]
where = (np.arange(clips) + 0.5) / clips * seconds
fig, axes = plt.subplots(3, 1, figsize=(9, 4), height_ratios=(1, 1.1, 1.1), layout="constrained", sharex=True)
strips = run.strips
draw_film_strip(axes[0], strips["strips"][strips["video_ids"].tolist().index(record["video_id"])], seconds)
axes[0].set_title(f"“{record['sentence']}”")
axes[1].step(where, scores["probability"][-1, 0], where="mid", color=ROLES["chosen"].color, label="$p^+$")
axes[1].set(ylabel="probability", ylim=(0, 1))
axes[2].step(where, clips * scores["attention"][-1, 0], where="mid", color=ROLES["attention"].color, label="$T\\,o$")
axes[2].axhline(1, color="0.6", linewidth=0.8)
axes[2].set(ylabel="attention times T", ylim=(0, 2), xlabel="time (s)")
for ax in axes[1:]:
    ax.axvspan(*record["span_s"], color=ROLES["truth"].color, alpha=0.16, label="true moment")
    ax.legend(fontsize=8, loc="upper right")
_ = save_figure(fig, "figures/04_bm_detr.png")

# %% [markdown]
# ## Inside and outside the moment (P2 Table 9)
#
# The paper reports the joint probability inside and outside the true moments: 0.56 and 0.13 with negatives, 0.42 and
# 0.20 without (Charades). Ours, on test videos, with one drawn negative:

# %% jupyter={"source_hidden": true}
columns = ("joint,inside", "joint,outside", "p,inside", "p,outside")
table = {name: [done.metrics["test"][c] for c in columns] for name, done in runs.items() if name != "QD-DETR"}
pd.DataFrame(table, index=columns).T.round(3)

# %% [markdown]
# *`joint` is what the paper reports; `p` is $p^+$ alone, which is all that prediction has.* These are short runs; the
# table over seeds, with and without negatives, stands below. Look at `p`: can it be **higher outside**?
#
# It can, and nothing in the loss forbids it. The loss sees only the product $p^+(1-p^-)$. To make it small outside the
# moment a model may lower $p^+$ (*this does not match our sentence*), or raise $p^-$ (*this matches the other one*).
# A model that does not tell the sentences apart has $p^+=p^-=p$, and the product is $p(1-p)$:

# %% jupyter={"source_hidden": true}
grid = np.linspace(0, 1, 101)
fig, ax = plt.subplots(figsize=(5.6, 2.4), layout="constrained")
ax.plot(grid, grid * (1 - grid), color=ROLES["chosen"].color)
ax.annotate("inside: as high as it gets", (0.5, 0.25), (0.32, 0.11), arrowprops={"arrowstyle": "-"}, fontsize=8)
ax.annotate("outside: this is 0 too", (1, 0), (0.66, 0.03), arrowprops={"arrowstyle": "-"}, fontsize=8)
ax.set(xlabel="$p^+ = p^-$", ylabel="$p^+(1-p^-)$", title="A model that does not tell the sentences apart")
_ = save_figure(fig, "figures/04_bm_detr_product.png")

# %% [markdown]
# One half inside and one outside is then a minimum: $p^+$ is *inverted*. Prediction uses $p^+$. So compare both columns
# before you believe P2 Table 9.

# %% [markdown]
# ## Temporal shifting
#
# A moment is cut out and put back elsewhere, so that its place says nothing. By hand: clips `0 1 2 3 4`, the moment is
# `1 2`, its new place is after two of the remaining clips `0 3 4`.

# %% jupyter={"source_hidden": true}
from vmlkit.detr.batches import clips_inside
from vmlkit.detr.shift import shift_order, shifted_branch

one = torch.tensor([1])
assert shift_order(one, one + 1, torch.ones(1, 5).bool(), one + 1).order.tolist() == [[0, 3, 1, 2, 4]]

batch = splits.test.batch([example], with_spans=True)
inside = clips_inside(batch.windows, batch.window_mask, batch.frame_mask)
short = batch.durations < 60  # the paper shifts shorter videos only
shifted = {}
for name, released in (("paper", False), ("authors", True)):
    for draw in range(20):  # the first draw that really moves it
        draws = torch.Generator().manual_seed(draw)
        shifted[name] = shifted_branch(batch, inside, short, draws, as_released=released)[:2]
        if not torch.equal(shifted[name][0].clips, batch.frames):
            break

# %% jupyter={"source_hidden": true}
fig, axes = plt.subplots(3, 1, figsize=(9, 2.7), layout="constrained", sharex=True)
views = {"as it is": (batch.windows[0, 0], torch.arange(clips))}
features = batch.frames[0, :, :-2]
for name, (branch, targets) in shifted.items():
    order = torch.cdist(branch.clips[0, :, :-2], features).argmin(1)
    views[name] = (targets.windows[0, 0], order)
for ax, (name, (window, order)) in zip(axes, views.items(), strict=True):
    draw_film_strip(ax, strip[order.numpy()], duration)
    start, end = (float(window[0] + s * window[1] / 2) * duration for s in (-1, 1))
    ax.plot([start, end], [0, 0], color=ROLES["truth"].color, lw=7, solid_capstyle="butt", clip_on=False, zorder=5)
    ax.text(-0.01, 0.5, name, transform=ax.transAxes, ha="right", va="center")
axes[-1].tick_params(axis="x", length=3, labelbottom=True)
axes[-1].set_xlabel("time (s)")
_ = save_figure(fig, "figures/04_bm_detr_shift.png")

# %% [markdown]
# *The green bar below a strip: the label that training sees.* **Paper against code.** The released label counts clip
# *indices*, end included, as if they were seconds: it is one clip short, and parts of a clip are lost. And the
# endpoint features, which say where in the video a clip lies, move along with the clip and give its **old** place
# away. In `paper` mode the label moves by whole clips and the endpoints are computed anew:

# %% jupyter={"source_hidden": true}
for name, (branch, targets) in shifted.items():
    in_order = bool((branch.clips[0, :, -2].diff() > 0).all())
    width = float(targets.windows[0, 0, 1]) * clips
    print(f"{name:8s} label {width:.2f} clips wide (true: {float(batch.windows[0, 0, 1]) * clips:.2f}); ", end="")
    print("endpoint features in order" if in_order else "endpoint features out of order: they tell the old place")

# %% [markdown]
# ## Claims measured
#
# One run is an anecdote. A study repeats it over many seeds, outside this notebook, and an interval that counts seeds
# and test videos gives each claim its word; [What we found](../docs/findings.md) has the rules. Points are seeds, the
# grey band is what would not matter, a star marks what the study is made for.
# `iid` are test queries from the distribution of the training moments, `ood` those from another one.

# %%
vk.show_studies("P2 Table 4")

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Probability inside and outside the moment

# %%
vk.show_studies("P2 Table 9")

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Components and losses

# %%
vk.show_studies("P2 Table 7", "P2 Table 8")

# %% [markdown]
# (A softmax over numbers in [0, 1], as in P2 Eq. (8), is meant to attend; first of all it divides by T.)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Out of distribution
#
# Charades-CD moves the moments between training and `test-ood`. Its sentences and times are real, the video features
# are planted (a stand-in), so only the rise above the location priors means anything.

# %%
vk.show_studies("P2 Table 6")

# %% [markdown]
# ## This page's runs beside guesses that never look

# %% jupyter={"source_hidden": true}
from vmlkit.metrics.report import metrics_table

metrics = ["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU"]
beside = {name: done.metrics["test"] for name, done in runs.items()} | run.metrics["baselines"]
metrics_table({name: {m: row[m] for m in metrics} for name, row in beside.items()}, run.metrics["n_test"]).round(1)

# %% jupyter={"source_hidden": true}
names = {"QD-DETR": "QD-DETR", "BM-DETR (authors)": "authors", "BM-DETR (paper)": "paper"}
band = {f"{short} {m}": beside[name][m] for name, short in names.items() for m in ("R@1,IoU=0.5", "R@1,mIoU")}
for name in list(names)[1:]:
    band |= {f"{names[name]} {c}": runs[name].metrics["test"][c] for c in columns}
    losses = runs[name].epochs.set_index("epoch").iloc[-1]
    band |= {f"{names[name]} {c}": losses[f"loss/{c}"] for c in ("giou", "probability", "alignment")}
constant = beside["best constant window"]["R@1,mIoU"]
exact = {"test queries": run.metrics["n_test"], "constant window R@1,mIoU": constant}
exact |= {"sum of o, padded to 16": frame["sum over the video"].iloc[-1], "cost of the matched span": float(cost[1])}
exact |= {f"{mode}: shifted label, clips": float(shifted[mode][1].windows[0, 0, 1]) * clips for mode in shifted}
above = [(f"{mode} joint,inside", f"{mode} joint,outside") for mode in ("authors", "paper")]
nb.record(exact=exact, band=band, above=[*above, ("QD-DETR R@1,mIoU", "authors R@1,mIoU")])

# %% [markdown]
# Runs of this length say little about which method is better; they show what learning looks like. The claims above
# rest on many seeds.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## Paper against code, the list

# %% [markdown]
# | paper | released code | here |
# | --- | --- | --- |
# | P2 Eq. (8): the decoder reads $X'$ | it has run on $\hat X$ before | `mode` |
# | P2 Eq. (7): softmax over the frames | over the padding as well | `mode` |
# | P2 Sec. 3.2: negatives of the same video | of another one, for want of `neg_query_ids` | `negative_source` |
# | P2 Sec. 3.4: shift videos below 60 s | all; label a clip short; endpoints leak | `mode` |
# | P2 Eq. (9) and P2 Eq. (10): pooling by one vector | tanh attention, a linear layer, a projection | `pooling` |
# | P2 Eq. (15): all foreground and background clips | two drawn pairs, doubled | `margin_pairs` |
# | P2 Eq. (17): negatives $j \ne i$ in the denominator | $i$ as well | `alignment_negatives` |
# | (silent) | `100 - accuracy` is added to the reported total | `class_error_weight` |
# | (silent) | a query whose video is in the batch already is dropped for the epoch | `DetrTask.repeats` |
# | (silent) | Charades-STA models are chosen on the test split | never here |
#
# QD-DETR has its own: the mask of padded clips and words is tiled in the wrong order, so predictions depend on what
# shares the batch (`reference_mask_order`), and the text-to-video layers skip a norm (`normed_residual`). All three
# models are held to the authors' numbers, values and gradients, in `tests/parity`.

# %% [markdown]
# ## Exercises
#
# ### 1. Predict: how flat can the frame attention be?
#
# *5 minutes, easy.* For probabilities in [0, 1] and T clips, give the largest weight that a single clip can get.
#
# <details><summary>Hint 1</summary>Make all others as small as they can be; mind what the softmax adds up.</details>
#
# <details><summary>Hint 2</summary>one clip has p = 1, the others p = 0: put that into the softmax.</details>


# %% tags=["exercise"]
def largest_attention(clips: int) -> float:
    """The largest o_i over all p in [0, 1]^T."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_largest_attention(clips: int) -> float:
    """The largest o_i over all p in [0, 1]^T."""
    return float(np.e / (np.e + clips - 1))


# %% jupyter={"source_hidden": true} tags=["check"]
one_hot = torch.zeros(75)
one_hot[3] = 1
exercises.check(
    largest_attention,
    [
        ((75,), float(one_hot.softmax(0)[3]), "It is e^1 over e^1 + (T - 1) e^0."),
        ((1,), 1.0, "A single clip gets everything."),
    ],
    then=lambda: f"Of 75 clips the best gets at most {largest_attention(75):.3f}; equal shares would be {1 / 75:.3f}.",
)

# %% [markdown]
# ### 2. Modify: which sentences may be negatives?
#
# *10 minutes, medium.* Write the mask of allowed negatives for one video yourself: row i, column j is True where j may
# be a negative of i by time (IoU below 0.5). Windows are `(start, end)` rows.
#
# <details><summary>Hint 1</summary><code>windows[:, None]</code> with <code>windows[None]</code>: every pair.</details>
#
# <details><summary>Hint 2</summary>intersection over union of every pair; the starts are <code>windows[...,
# 0]</code>.</details>


# %% tags=["exercise"]
def allowed(windows: np.ndarray) -> np.ndarray:
    """(N, 2) windows -> (N, N) booleans."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_allowed(windows: np.ndarray) -> np.ndarray:
    """(N, 2) windows -> (N, N) booleans."""
    a, b = windows[:, None], windows[None]
    common = np.clip(np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0]), 0, None)
    union = (a[..., 1] - a[..., 0]) + (b[..., 1] - b[..., 0]) - common
    return common / union < 0.5


# %% jupyter={"source_hidden": true} tags=["check"]
from vmlkit.detr.negative_queries import find_negatives


def as_the_package(windows: np.ndarray) -> np.ndarray:
    """(N, N) booleans by the package's rule, query by query."""
    found = find_negatives(["v"] * len(windows), [[tuple(w)] for w in windows])
    return np.array([np.isin(np.arange(len(windows)), found.of(i)) for i in range(len(windows))])


four = np.array([(0.0, 4.0), (1.0, 4.0), (5.0, 9.0), (4.0, 8.0)])
apart = np.array([(0.0, 2.0), (3.0, 5.0)])
exercises.check(
    allowed,
    [
        ((apart,), ~np.eye(2, dtype=bool), "No query is a negative of itself; these two share nothing."),
        ((four,), as_the_package(four), "Row 0, column 1: their IoU is 3/4."),
    ],
    then="It is the package's rule, query by query.",
)

# %% [markdown]
# ### 3. Measure: the released shifted label
#
# *5 minutes, easy.* The moment covers clips `first..last` (inclusive) of n after the shift. Give the width, as a
# fraction of the video, that the release trains with, and the true one.
#
# <details><summary>Hint 1</summary>Count the clips of a moment that covers one clip only.</details>
#
# <details><summary>Hint 2</summary>an inclusive range of clips is one longer than the difference of its
# ends.</details>


# %% tags=["exercise"]
def label_widths(first: int, last: int, n: int) -> tuple[float, float]:
    """(released width, true width)."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_label_widths(first: int, last: int, n: int) -> tuple[float, float]:
    """(released width, true width)."""
    return (last - first) / n, (last - first + 1) / n


# %% jupyter={"source_hidden": true} tags=["check"]
from vmlkit.detr.shift import shifted_window_indices

moved = shift_order(torch.tensor([2]), torch.tensor([4]), torch.ones(1, 10).bool(), torch.tensor([6]))
released = float(shifted_window_indices(moved, torch.tensor([10]))[0, 1])
exercises.check(
    label_widths,
    [
        ((6, 8, 10), (released, 0.3), "Clips 6 to 8 are three of ten; the release subtracts their indices."),
        ((5, 5, 10), (0.0, 0.1), "One clip, and its index minus itself."),
    ],
    then="A moment of one clip gets an empty window.",
)

# %% [markdown]
# ## What to read next
#
# [05](05_actions_with_text.ipynb): several moments of several classes, from labels of whole videos.
# `vmlkit train bm-detr --set model.mode=authors` trains the released form, `vmlkit train qd-detr` its ancestor;
# `vmlkit study list` names what was measured over many seeds.
