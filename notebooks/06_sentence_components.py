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
# # Sentence components: left is not right
#
# **A model that finds "a red circle slides left" may have read no more than "red circle".** P4 (*leveraging generative
# language models for weakly supervised sentence component analysis in video-language joint learning*, 2023) asks a
# language model to change one part of every sentence, and trains against the result. This page builds it, though no
# code was ever released, and then asks what the numbers are worth: next to every gain stand two controls that cannot
# see what the gain is said to come from.
#
# Time: about a minute at `ci` size on two cores. No GPU, no download, and no text leaves your machine.
#
# Words and symbols of all pages: [glossary](glossary.md).

# %% [markdown]
# **You need:** the tour; what an embedding and a cosine similarity are. Page 04 helps with the last part.
#
# **Afterwards you can** derive where a weighted loss leads; tell what a model reads from what it sees, by two
# controls; read a retrieval number with its protocol.
#
# **Data:** the toy world alone, where retrieval and moments meet the same videos. On MSVD and QVHighlights,
# `vmlkit train p4-xclip --data msvd` and `vmlkit train p4-qd-detr --data qvhighlights` train the same models.
#
# **Path:** before this page comes [05: actions with text](05_actions_with_text.ipynb); next is [07: your own
# video](07_your_own_video.ipynb).

# %% [markdown]
# ## The question
#
# A sentence has parts: a subject, a verb, an attribute, an object. Change one and it becomes false. Does the model
# notice *which* part? And if we train it on such false sentences, does it learn to look at the video, or to read the
# sentence?

# %% tags=["parameters"]
size = "ci"  # "ci": a minute; "demo": a quarter of an hour; "long": the longest run of the toy world
seed = 0
device = "auto"  # "cpu", "cuda", or a card where there is one
run_dir = "runs/06_sentence_components"  # other values of the above get folders of their own beside it

# %% jupyter={"source_hidden": true}
import dataclasses
import math

import numpy as np
import pandas as pd
import torch

import vmlkit as vk
from vmlkit.training.checkpoints import load_weights
from vmlkit.viz import notebook as nb
from vmlkit.viz.style import ROLES, new_figure, save_figure

page = vk.open_page(run_dir, size=size, seed=seed, device=device)
exercises = vk.Exercises(3)
pd.options.display.max_colwidth = 70
experiment = page.preset("p4-xclip", {"train.choose_epoch_by": "last", "train.evaluate_every": 2})
splits = page.load(experiment)
texts = splits.test.texts

# %% [markdown]
# ## One picture
#
# A moment of a test video, what is said about it, and what could be said instead. Blue: the same meaning in other
# words. Red: one part changed, and the sentence is false in this video.

# %% jupyter={"source_hidden": true}
from vmlkit.viz.components import draw_variants
from vmlkit.viz.filmstrip import draw_film_strip

example = int(np.flatnonzero(splits.test.valid.all(dim=1).numpy())[0])  # a sentence that has every part
sentence = splits.test.sentences[example]
start, end = splits.test.spans_s[example]
shown = {"positive": texts.positives[example], **dict(zip(texts.components, texts.negatives[example], strict=True))}
strip = splits.test.film_strip.moment(splits.test.video_ids[example], start, end, 10, 48)
fig = new_figure(figsize=(8, 3.6))
axes = fig.subplots(2, 1, height_ratios=(1, 3))
draw_film_strip(axes[0], strip, end - start)
axes[0].tick_params(axis="x", length=3, labelbottom=True)
axes[0].set_xlabel("seconds since the moment began")
draw_variants(axes[1], sentence, shown)
fig.subplots_adjust(left=0.06, right=0.98, top=0.98, bottom=0.02, hspace=0.45)
save_figure(fig, "figures/06_sentence_components_idea.png")
fig

# %% [markdown]
# ## Variants as data
#
# The paper asks a chat model, and neither says which nor prints its prompts. Here variants are **data**: one row per
# sentence and part, with the text, who wrote it, and what the checks said. Three writers share one protocol: rules (the
# default, offline), any endpoint that speaks the chat protocol, and a model folder on your disk.
#
# The rules first, on a few sentences, with every refusal. "No such part" is an answer too: *nothing rather than
# nonsense*.

# %% jupyter={"source_hidden": true}
from vmlkit.components.variants.generation import variants_of
from vmlkit.components.variants.rules import RuleGenerator

captions = ["The small red square knocks the yellow cross away.", "A pink ring expands.", "Two men cook together."]
written = [row for caption in captions for row in variants_of(RuleGenerator(), caption)]
table = pd.DataFrame([{"sentence": r.sentence, "component": r.component, "text": r.text} for r in written])
table["check"] = ["accepted" if r.valid else "refused" if r.rejected else "no such part" for r in written]
nb.fold(f"{len(table)} variants of three sentences", table.set_index("sentence"))

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### What the checker refuses
#
# Answers as a careless writer might give them, for *"a red ball falls down"*:

# %% jupyter={"source_hidden": true}
from vmlkit.components.variants.checks import failures

careless = {
    "negated_verb": "a red ball falls down",
    "changed_verb": "a blue cube jumps over two yellow stars",
    "changed_attribute": "a green ball falls down",
    "changed_object": None,
    "changed_subject": "A red ball falls down. It is round.",
    "negated_passive": "a red ball is thrown down",
    "positive": "down falls a red ball",
}
reasons = failures("a red ball falls down", careless)
rows = [
    {"component": c, "answer": a, "verdict": reasons.get(c, "accepted") if a else "null"} for c, a in careless.items()
]
pd.DataFrame(rows).set_index("component")

# %% [markdown]
# A hundred test sentences of the toy world, all seven components:

# %%
from vmlkit.components.variants.generation import Summary

counts = Summary()
for caption in dict.fromkeys(splits.test.sentences[:100]):
    counts.add(variants_of(RuleGenerator(), caption))
pd.DataFrame({"accepted": counts.accepted, "no such part": counts.absent, "refused": counts.refused})

# %% [markdown]
# ### In the toy world
#
# Here we know more than any writer: the script. So *changed* parts are drawn from it and are **false in
# their video by construction**; negations come from the rules and are checked against the script. The positive is a
# paraphrase in the world's own words (a passive is rarely possible here). Share of test sentences that have each part:

# %%
pd.Series(texts.valid.mean(axis=0), index=texts.components, name="share of sentences").round(2)

# %% [markdown]
# Most sentences have no object. P4 motivates its second loss with such gaps, but never removes them; we do
# (`use_invalid=True` is the literal form).

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## Symbols

# %% [markdown]
# | paper | here | shape |
# | --- | --- | --- |
# | $t_i,\ p_i,\ n_{i,j}$ | anchor, positive, negative of component $j$ | texts |
# | $\sigma_p,\ \sigma_j$ | `Compared.positive, .negatives`: similarity with the anchor | (B), (B, K) |
# | $\tau$ | `tau` = 0.07 (not stated in the paper) | |
# | $\mathcal L_{i,j}$ | `single_losses` | (B, K) |
# | $\omega_{i,j}$ | `Importance.weights` | (B, K) |
# | $\lambda_c$ | `weight` = 1 (not stated) | |

# %% [markdown]
# ## Three losses: P4 Eq. (2), P4 Eq. (3) and P4 Eq. (5)
#
# With $s=\sigma/\tau$ and one loss per component, $\mathcal L_{j}=\log(1+e^{s_j-s_p})$:
#
# $$\text{simple: } -\log\frac{e^{s_p}}{e^{s_p}+\sum_j e^{s_j}}\qquad
# \text{most discernable: } \min_j \mathcal L_j\qquad
# \text{adaptive: } \sum_j \omega_j\,\mathcal L_j$$
#
# One sentence, two components, $\tau=1$, $\sigma_p=1$, $\sigma=(1, 0)$. The first negative is as near as the positive:
# $\mathcal L_1=\ln 2$. The second is far: $\mathcal L_2=\ln(1+e^{-1})$.

# %% jupyter={"source_hidden": true}
from vmlkit.components.losses import (
    adaptive,
    component_loss,
    entropy,
    most_discernable,
    simple_contrastive,
    single_losses,
)

near, far = torch.tensor([1.0]), torch.tensor([[1.0, 0.0]])
each = single_losses(near, far, tau=1.0)
assert torch.allclose(each, torch.tensor([[math.log(2), math.log(1 + math.exp(-1))]]))
values = {
    "simple": simple_contrastive(near, far, 1.0),
    "most discernable": most_discernable(each)[0],
    "adaptive, equal weights": adaptive(each, torch.tensor([[0.5, 0.5]])),
}
assert torch.isclose(values["simple"], torch.tensor(math.log(2 + math.exp(-1))))
pd.Series({name: float(value) for name, value in values.items()}).round(3)

# %% [markdown]
# Equal weights are the mean of the single losses, which is *not* the simple loss. With a single component all three are
# the same.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### All there is to it

# %%
nb.show_source(component_loss)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## P4 Eq. (4): importance
#
# A small module reads the anchor and the words of each negative and gives it a logit $m_j$;
# $\omega=\mathrm{softmax}(m)$ over the parts that the sentence has.

# %%
from vmlkit.components.importance import ImportanceModule

nb.show_source(ImportanceModule.forward)

# %% [markdown]
# ## Predict: where does P4 Eq. (5) lead?
#
# The text of the paper says that weight goes to the parts that the model finds *hard*. What does the formula say?
#
# $$\frac{\partial \mathcal L}{\partial m_j}=\omega_j\,(\mathcal L_j-\mathcal L)$$
#
# Gradient descent goes the other way: where $\mathcal L_j$ is **below** the mean, the weight rises. Check it, then let
# five logits go on their own, with losses from .2 to 2:

# %% jupyter={"source_hidden": true}
losses = torch.linspace(0.2, 2.0, 5, dtype=torch.float64)[None]
m = torch.randn(1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).requires_grad_()
loss = adaptive(losses, m.softmax(dim=1)).sum()
(slope,) = torch.autograd.grad(loss, m)
assert torch.allclose(slope, m.softmax(dim=1) * (losses - loss))

m, held, spread = torch.zeros_like(losses), [], []
for _ in range(2000):
    omega = m.softmax(dim=1)
    held.append(omega[0].numpy())
    spread.append(entropy(omega).item())
    m = m - 0.05 * omega * (losses - adaptive(losses, omega)[:, None])
print(f"weight of the easiest after 500 steps {held[499][0]:.2f}, after 2000 {held[-1][0]:.2f}")

# %% jupyter={"source_hidden": true}
fig = new_figure(figsize=(8, 2.6), layout="constrained")
left, right = fig.subplots(1, 2)
for j, curve in enumerate(np.array(held).T):
    shade = ROLES["attention"].color if j == 0 else "#8E97A1"
    left.plot(curve, color=shade, linewidth=2 if j == 0 else 1)
for j, height in ((0, held[-1][0] + 0.03), (1, 0.04)):
    left.annotate(f"loss {losses[0, j]:.2f}", (1990, height), ha="right", fontsize=8)
left.set(title="weight of each component", xlabel="step", ylim=(0, 1.08))
right.plot(spread, color=ROLES["attention"].color)
right.set(title="entropy of the weights (nats)", xlabel="step", ylim=(0, 1.7))
save_figure(fig, "figures/06_sentence_components_drift.png")
fig

# %% [markdown]
# *Left: the component with the smallest loss takes everything. Right: so the entropy can only fall.* Left alone, P4
# Eq. (5) **slides into P4 Eq. (3)**. In a network the module has to say weights for sentences it has not seen, which
# may slow the slide; whether it does is measured below, at every epoch. `detach_importance` stops it (the weights
# then stay as they are drawn), `entropy_bonus` holds against it.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## P4 Eq. (7): how alike are two texts?
#
# For retrieval P4 compares texts word by word with a "function (7)" that is defined in a supplement we do not have. Two
# readings: every word looks for its like in the other text, then *late* takes the **mean** over words, *aosm* (X-CLIP's
# own form) a second soft **maximum**. Word vectors of the toy world, a sentence and a version with one word changed:

# %% jupyter={"source_hidden": true}
from vmlkit.components.toy_words import any_word_vector
from vmlkit.nn.similarity import late_interaction


def vectors(text: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Word vectors (1, L, D) and their mask."""
    words = torch.tensor(np.stack([any_word_vector(w) for w in text.split()]), dtype=torch.float32)[None]
    return words, torch.ones(words.shape[:2], dtype=torch.bool)


anchor = "a red circle slides to the left"
others = ["a red circle slides to the right", "the crimson ball moves left", "a red circle does not slide to the left"]
forms = {f: [late_interaction(*vectors(anchor), *vectors(o), form=f).item() for o in others] for f in ("late", "aosm")}
pd.DataFrame(forms, index=others).round(3)

# %% [markdown]
# For *aosm* every pair of texts that shares one word is the same text: nothing to learn from. So *late* is the default
# here. Note the order of *late*, too: **the negation is nearer to the anchor than the paraphrase is.** That is what the
# loss has to turn round.

# %% [markdown]
# ## Before you train: predict
#
# After training, a sentence shall be nearer to its paraphrase than to its changed copy. Write down which component will
# be learnt best, which worst, and whether showing a **wrong** video will change that.

# %% [markdown]
# ## Train: X-CLIP with and without components
#
# X-CLIP scores a video and a text by four similarities (whole with whole, words with video, frames with sentence, words
# with frames). Here it reads resident frame features and word vectors, its part after CLIP is the released one. P4's
# loss for it compares **texts only**: it never sees a video.

# %%
from vmlkit.components.xclip import XCLIP

nb.show_source(XCLIP.retrieval_loss)

# %% jupyter={"source_hidden": true}
settings = {
    "X-CLIP": {"model.components.loss.weight": 0.0},
    "with components": {"model.components.names": texts.components},
}
runs, models = {}, {}
for name, overrides in settings.items():
    chosen = vk.with_overrides(experiment, overrides)
    runs[name] = page.train(chosen, name.replace(" ", "_"), splits=splits)
    models[name] = vk.build(chosen, splits.train).eval()
    load_weights(models[name], runs[name].checkpoint)
epochs = runs["with components"].epochs.set_index("epoch")
shown = ["loss/retrieval", "loss/components", "loss/importance_entropy", "metric/component accuracy"]
nb.fold("X-CLIP with components, epoch by epoch", epochs[shown].round(3).T.astype(str))

# %% [markdown]
# ## Watch it learn
#
# The component loss falls fast. And the importance weights? Recorded at every epoch, on one fixed batch:

# %% jupyter={"source_hidden": true}
importance = epochs.filter(like="gradient/importance").dropna()
importance.columns = [c.removeprefix("gradient/importance ").replace("_", " ") for c in importance.columns]
fig = new_figure(figsize=(8.4, 2.8))
left, right = fig.subplots(1, 2)
fig.subplots_adjust(left=0.06, right=0.99, wspace=0.75, bottom=0.18, top=0.88)
entropies = epochs["loss/importance_entropy"].dropna()
left.plot(entropies.index, entropies, "o-", color=ROLES["attention"].color)
left.set(title="entropy of the weights (nats)", xlabel="epoch", ylim=(0, 1.5))
for name, color in zip(importance, ("#22262B", "#A84D9B", "#7A6A4F", "#4F7C86", "#A98F6B", "#7FB0B5"), strict=False):
    right.plot(importance.index, importance[name], "o-", markersize=3, color=color, label=name)
right.legend(loc="center left", bbox_to_anchor=(-0.72, 0.5), fontsize=8)
right.set(title="mean weight where the part exists", xlabel="epoch", ylim=(0, 1.02))
save_figure(fig, "figures/06_sentence_components_importance.png")
fig

# %% [markdown]
# *Left: the entropy over training. Right: which component holds the weight.* The slide of the toy example, in a real
# training: weight goes to what is already easy.

# %%
page.expect(entropies.iloc[-1] < entropies.iloc[0], "the weights did not drift")
print(f"entropy {entropies.iloc[0]:.2f} -> {entropies.iloc[-1]:.2f} nats; most weight: {importance.iloc[-1].idxmax()}")

# %% [markdown]
# ## Similarities, before and after (P4 Fig. 5)

# %% jupyter={"source_hidden": true}
from vmlkit.components.task import compare_split, match_split
from vmlkit.viz.components import draw_similarities

triplets = {name: compare_split(model.host, splits.test, "own") for name, model in models.items()}
panels = {name: (t.positive, t.negatives[t.valid]) for name, t in triplets.items()}
fig = draw_similarities(panels)
save_figure(fig, "figures/06_sentence_components_similarity.png")
fig

# %%
accuracy = pd.DataFrame({name: t.accuracy() for name, t in triplets.items()})
shown = accuracy.rename(index={"": "all pairs"}).mul(100).round(1).rename_axis("positive nearer than negative, %")
nb.fold("Part by part", shown)

# %% [markdown]
# *Test sentences; dashed: means.* Which text is **nearer**, before and after: a paraphrase, or one with a word changed?
# This is the picture by which the paper argues. The table says more, part by part: which are solved, and which hardly
# touched? Compare with the importance weights: what was easy got the training.

# %%
last = importance.iloc[-1]
solved = accuracy["with components"].drop("").rename(lambda c: c.replace("_", " "))
page.expect(solved[last.idxmax()] > 0.9, "the part that holds the weight is not solved")
print(
    f"{last.idxmax()}: weight {last.max():.2f}, {100 * solved[last.idxmax()]:.0f} % of its pairs told apart;", end=" "
)
print(f"{solved.idxmin()}: weight {last[solved.idxmin()]:.2f}, {100 * solved.min():.0f} %")

# %% [markdown]
# ## Does the video know?
#
# Ask it. For each test video: is its score with the true sentence higher than with the sentence that has one part
# changed? The control asks a **different video** the same question; if the answers are better than a coin there, the
# texts give themselves away.

# %% jupyter={"source_hidden": true}
matches = {
    f"{name}{', shuffled video' if shuffled else ''}": match_split(model.host, splits.test, shuffled).accuracy()
    for name, model in models.items()
    for shuffled in (False, True)
}
table = pd.DataFrame(matches).rename(index={"": "all pairs"})
table = table[["with components", "with components, shuffled video", "X-CLIP", "X-CLIP, shuffled video"]]

# %%
from vmlkit.viz.components import draw_accuracies

fig = draw_accuracies(table, title="score with the true sentence higher than with a false one")
save_figure(fig, "figures/06_sentence_components_match.png")
fig

# %%
nb.fold("The same in numbers, percent", table.mul(100).round(1))

# %% [markdown]
# *Filled: the trained model on the right video; red diamonds: on a wrong one. Grey squares and triangles: the same for
# X-CLIP without the loss.* Read two distances. From the diamond to the filled mark: what the **video** contributes.
# From the grey square to the filled mark: what the **loss** contributed. Where a diamond stands far right of the line,
# a *not* gives the answer away, and the video has little to do with it. One seed settles nothing; the claims below take
# several.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## One part at a time (P4 Table 4 and P4 Table 5)
#
# Six short trainings, each with the negatives of a single part, and all six parts as a test. Does what is learnt from
# one part carry over to another?

# %% jupyter={"source_hidden": true}
matrix = {"no loss": triplets["X-CLIP"].accuracy()}
for part in texts.components:
    alone = {"model.components.names": (part,), "model.components.loss.kind": "simple"}
    short = {"train.epochs": 3, "train.evaluate_every": 3}
    chosen = vk.with_overrides(experiment, {**alone, **short})
    done = page.train(chosen, part, splits=splits)
    model = vk.build(chosen, splits.train).eval()
    load_weights(model, done.checkpoint)
    matrix[part] = compare_split(model.host, splits.test, "own").accuracy()
matrix["all, adaptive"] = triplets["with components"].accuracy()
matrix = pd.DataFrame(matrix).T.drop(columns="") * 100

# %% jupyter={"source_hidden": true}
fig = new_figure(figsize=(7, 3.4), layout="constrained")
ax = fig.subplots()
ax.imshow(matrix.to_numpy(), cmap="Greys", vmin=0, vmax=270, aspect="auto")
for i, row in enumerate(matrix.to_numpy()):
    for j, value in enumerate(row):
        own = matrix.index[i] == matrix.columns[j]
        color = ROLES["chosen"].color if own else "#22262B"
        ax.text(j, i, f"{value:.0f}", ha="center", va="center", color=color, weight="bold" if own else "normal")
ax.set_xticks(range(len(matrix.columns)), [c.replace("_", "\n") for c in matrix.columns])
ax.set_yticks(range(len(matrix)), [c.replace("_", " ") for c in matrix.index])
ax.tick_params(length=0)
ax.set(ylabel="trained on", title="positive nearer than the negative of this part, % of test sentences")
save_figure(fig, "figures/06_sentence_components_alone.png")
fig

# %% [markdown]
# *Bold blue: tested on the part it was trained on.* Read along a row how far one part reaches, and down a column who
# solves it. A part that most sentences have, trained alone, is learnt in three epochs. The last row had all six parts
# and more epochs: look at those from which the importance weights withdrew.

# %%
trained = np.mean([matrix.loc[part, part] for part in texts.components])
carried = np.mean([matrix.loc[a, b] for a in texts.components for b in texts.components if a != b])
before = matrix.loc["no loss"].mean()
print(f"on its own part {trained:.0f} %, on the others {carried:.0f} %, without the loss {before:.0f} %")

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## Retrieval, both ways
#
# Which video does a sentence mean, which sentence does a video? Papers mix two conventions and rarely say so. Several
# captions per video: the released code ranks *videos* by their best caption; others rank among *all captions*, which is
# harder. Ties: count only strictly better candidates, and a collapsed model is perfect; count equals, and it is last.

# %% jupyter={"source_hidden": true}
columns = ["R@1", "R@5", "R@10", "MnR"]
ways = {
    "text to video": "t2v {}",
    "text to video, ties against us": "t2v {}, pessimistic",
    "video to text, best caption per video": "v2t {}",
    "video to text, among all captions": "v2t {}, all captions",
}
scores = runs["with components"].metrics["test"]
found = {way: [scores[key.format(c)] * (100 if "@" in c else 1) for c in columns] for way, key in ways.items()}
chance = runs["with components"].metrics["baselines"]["chance"]
found["chance"] = [chance[f"t2v {c}"] * (100 if "@" in c else 1) for c in columns]
pd.DataFrame(found, index=columns).T.round(1)

# %% [markdown]
# Two protocols, one model, one test set: R@1 agrees, everything else differs. A sentence, and the three videos that the
# model likes best; the frame is green where it is the right one:

# %% jupyter={"source_hidden": true}
from vmlkit.components.retrieval import caption_rows, embed_split

inputs = embed_split(models["with components"].model, splits.test.base, 128)
logits = models["with components"].model.core.logits(*inputs).numpy()
owner = caption_rows(splits.test)
video_of = {int(row): splits.test.video_ids[i] for i, row in enumerate(owner)}
place = (logits > logits[np.arange(len(owner)), owner][:, None]).sum(axis=1)
asked = [int(i) for i in np.argsort(place, kind="stable")[[0, len(owner) // 2]]]
fig = new_figure(figsize=(8, 4.2))
axes = fig.subplots(6, 1)
fig.subplots_adjust(left=0.02, right=0.98, top=0.93, bottom=0.02, hspace=0.5)
for block, i in enumerate(asked):
    for rank, video in enumerate(np.argsort(-logits[i])[:3]):
        ax = axes[3 * block + rank]
        draw_film_strip(ax, splits.test.film_strip(video_of[int(video)], 16, 32), 16.0)
        ax.set_axis_off()
        right = video == owner[i]
        mark = "right" if right else "wrong"
        color = ROLES["truth"].text if right else ROLES["negative"].text
        title = f"“{splits.test.sentences[i]}”     " if rank == 0 else ""
        ax.set_title(f"{title}{rank + 1}. {mark}", color=color, fontsize=8.5, pad=2)
save_figure(fig, "figures/06_sentence_components_retrieval.png")
fig

# %% [markdown]
# *Above: a sentence whose video is found first; below: one in the middle of the ranking.* Many wrong ones are not that
# wrong: the same actor or the same motion occurs in other videos, and nothing in the data says so.

# %% [markdown]
# ## Moments: QD-DETR with components
#
# For moments P4 takes a **joint** embedding: the encoded video after it has read the text, averaged over clips: P4
# Eq. (6). Now the loss could use the video. Could: two of its five negatives contain *not*, and no anchor and no
# positive does. (The code of the loss is below, under *Paper against code*.)

# %% jupyter={"source_hidden": true}
from vmlkit.detr.dataset import DetrDataset

parts = ("train", "validation", "test")
moments = {p: dataclasses.replace(getattr(splits, p), base=DetrDataset.of(getattr(splits, p).base)) for p in parts}
moments = dataclasses.replace(splits, **moments)
localiser = dataclasses.replace(page.preset("p4-qd-detr"), data=experiment.data)
if size == "ci":
    localiser = vk.with_overrides(localiser, {"train.epochs": 6})  # two fewer than the preset, for time
run = page.train(localiser, "moments", splits=moments)
kept = ["loss/total", "loss/components", "loss/importance_entropy", "metric/R@1,mIoU", "metric/component accuracy"]
nb.fold("QD-DETR with components, epoch by epoch", run.epochs.set_index("epoch")[kept].round(3).T.astype(str))

# %% jupyter={"source_hidden": true}
test = run.metrics["test"]
views = {"own video": "", "shuffled video": ", shuffled video", "text alone": ", text alone"}
table = pd.DataFrame(
    {view: {c: test[f"component accuracy{tail}: {c}"] for c in texts.components} for view, tail in views.items()}
)
fig = draw_accuracies(table, title="QD-DETR: positive nearer to the anchor than the negative")
save_figure(fig, "figures/06_sentence_components_moments.png")
fig

# %% [markdown]
# *Filled: on the right video; diamonds: on a wrong one; squares: texts before they meet any video.* Look at the two
# negated parts: solved, **whatever the video**. The loss found the word *not*. For the other parts, too, the diamond
# lies about where the filled mark lies: on another video the same sentences are told apart as well. What was learnt is
# about sentences.
#
# ### Watch it learn
#
# And the answers? One recorded sentence over the epochs, the one whose answer improved most:

# %% jupyter={"source_hidden": true}
from vmlkit.viz.scrubber import scrubber
from vmlkit.viz.timeline import draw_epochs

answers = run.proposals[run.proposals.chosen].set_index(["epoch", "query_id"]).iou
gained = (answers[answers.index.levels[0].max()] - answers[0]).sort_values(ascending=False)
fig = draw_epochs(run, gained.index[0])
save_figure(fig, "figures/06_sentence_components.png")
fig

# %% [markdown]
# Now drag the epoch; the menu has the other sentences, failures included.

# %%
scrubber(run)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Try it: say it yourself
#
# Take a sentence of the video, negate it, change its colour or its verb: do the windows move, does
# their confidence fall? The network answers every sentence; nothing in it can say *not here*.

# %%
vk.ask_run(run.path)

# %% [markdown]
# ### The numbers, beside guesses that never look

# %%
kept = ["R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU"]
rows = {"QD-DETR with components, this run": test, **run.metrics["baselines"]}
pd.DataFrame({n: [100 * r[m] for m in kept] for n, r in rows.items() if all(m in r for m in kept)}, index=kept).T.round(
    1
)

# %% jupyter={"source_hidden": true}
band = {f"told apart, {name}": accuracy.loc["", name] for name in accuracy}
band |= {f"match, {name}": found[""] for name, found in matches.items()}
band |= {"entropy, first": entropies.iloc[0], "entropy, last": entropies.iloc[-1], "largest weight": last.max()}
band |= {"alone, own part": trained / 100, "alone, other parts": carried / 100, "no loss": before / 100}
band |= {f"retrieval {c}": scores[c] for c in ("t2v R@1", "t2v R@10", "v2t R@1", "t2v MnR")}
band |= {f"QD-DETR {m}": test[m] for m in kept}
band |= {"QD-DETR told apart": test["component accuracy"], "QD-DETR loss": run.epochs["loss/total"].iloc[-1]}
exact = {"test sentences": len(splits.test.sentences), "chance t2v R@1": chance["t2v R@1"]}
exact |= {f"share with {c}": share for c, share in zip(texts.components, texts.valid.mean(axis=0), strict=True)}
exact |= {"drift after 500 steps": held[499][0], "drift after 2000 steps": held[-1][0]}
exact |= {f"loss, {name}": float(value) for name, value in values.items()}
above = [("told apart, with components", "told apart, X-CLIP"), ("entropy, first", "entropy, last")]
nb.record(
    exact=exact, band=band, above=[*above, ("alone, own part", "no loss"), ("retrieval t2v R@1", "chance t2v R@1")]
)

# %% [markdown]
# At `ci` size the localiser has seen few sentences; the claims below train longer.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ## Paper against code: there is no code

# %% [markdown]
# | open in the paper | here | why |
# | --- | --- | --- |
# | which language model, prompts, decoding | variants are data; rules by default; our prompts are a file | repeatable |
# | a part that the sentence lacks | left out of losses and $\omega$; `use_invalid=True` keeps it | it teaches nothing |
# | $\tau$, $\lambda_c$, $h$ | 0.07, 1, 128 (32 here) | not stated |
# | joint embedding $g$ | mean over valid clips; `pool="global"` for QD-DETR's token | not stated |
# | scaling in P4 Eq. (4) | divided by $\sqrt h$; `scaled=False` | the caption of its figure reads unscaled |
# | gradient through $\omega$ | yes, as P4 Eq. (5) reads; `detach_importance=True` | text and formula disagree |
# | function (7) | *late*; `text_similarity="aosm"` | aosm cannot tell texts apart |
# | dropout | the video is projected once per sample | else dropout dominates the cosine |
#
# X-CLIP does have code, and it departs from its own paper: eight learnt matrices that the paper does not mention,
# padding that takes part in the fine scores (`mask_padding`), frames that bypass the temporal encoder, an optimiser
# with decay on everything but biases (`train.optimizer="bert_adam"`), and CLIP weights updated in float16,
# where nearly all of them never move (not here).
#
# And this is the loss for moments as it runs, where the anchor meets the same video as its variants:

# %%
from vmlkit.components.on_detr import DetrHost

nb.show_source(DetrHost.loss)

# %% [markdown]
# ## Claims measured
#
# One run is an anecdote. A study repeats it over many seeds, outside this notebook, and an interval that counts seeds
# and test videos gives each claim its word; [What we found](../docs/findings.md) has the rules. Points are seeds, the
# grey band is what would not matter, a star marks what the study is made for.
#
# A gain is worth what its control leaves of it: *void* is a control of a gain that is not there.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Retrieval

# %%
vk.show_studies("P4 Table 3", "P4 Table 5")

# %% [markdown]
# ### Moments
#
# The controls train the same loss where it cannot use the video (*text only*) or uses a wrong one
# (*shuffled video*):

# %%
vk.show_studies("P4 Table 2")

# %% [markdown]
# In the trained models, is the *video* what tells variants apart? Compare component accuracy on the right video with
# that on a wrong one.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### One part at a time

# %%
vk.show_studies("P4 Table 4", "P4 Fig. 5")

# %% [markdown]
# How to read the paper's own tables after this: single runs without spread; P4 Table 4 is on validation and P4 Table
# 2 on test, so single parts and their combination cannot be compared; and no row shows what is left when the video is
# taken away.

# %% [markdown]
# ## Exercises
#
# ### 1. Predict: where does the weight go?
#
# *8 minutes, medium.*
#
# Three components have the losses 0.5, 1.0 and 1.5, and equal weights. In which direction does one step of gradient
# descent push each logit? Write $-\partial\mathcal L/\partial m_j$.
#
# <details><summary>Hint 1</summary>The sign of the gradient above, turned round.</details>
#
# <details><summary>Hint 2</summary>the loss is L, the sum of omega_j L_j; its gradient on m_j is omega_j (L_j -
# L).</details>


# %% tags=["exercise"]
def push(losses: torch.Tensor, omega: torch.Tensor) -> torch.Tensor:
    """Minus the gradient of the adaptive loss on the logits, for losses (K) and weights (K)."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_push(losses: torch.Tensor, omega: torch.Tensor) -> torch.Tensor:
    """Minus the gradient of the adaptive loss on the logits, for losses (K) and weights (K)."""
    return omega * ((omega * losses).sum() - losses)


# %% jupyter={"source_hidden": true} tags=["check"]
cases = []
for made, start in (([0.5, 1.0, 1.5], [0.0, 0.0, 0.0]), ([2.0, 1.0], [0.0, 1.0])):
    given, logits = torch.tensor(made), torch.tensor(start, requires_grad=True)
    (logits.softmax(0) * given).sum().backward()
    cases.append(((given, logits.detach().softmax(0)), -logits.grad, "It is omega_j times (L - L_j)."))
exercises.check(push, cases, then="The easiest is pushed up, the hardest down.")

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### 2. Modify: a negative for free
#
# *5 minutes, easy.*
#
# Write a rule that needs no tagger: swap *left* and *right*, *up* and *down* in a sentence of the toy world, and return
# None where there is nothing to swap.
#
# <details><summary>Hint 1</summary>Look each word up in a dictionary of four, with itself as the default.</details>
#
# <details><summary>Hint 2</summary>a dictionary of four words, and None where none of them occurs.</details>


# %% tags=["exercise"]
def turned(sentence: str) -> str | None:
    """The sentence with its direction reversed."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_turned(sentence: str) -> str | None:
    """The sentence with its direction reversed."""
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    words = [opposite.get(word, word) for word in sentence.split()]
    return " ".join(words) if words != sentence.split() else None


# %% jupyter={"source_hidden": true} tags=["check"]
def odd() -> str:
    """What a rule without a script does not see."""
    turns = [turned(s) for s in splits.test.sentences]
    same = [t for t in turns if t and ("up and" in t or "down and" in t)]
    said = f"{np.mean([t is not None for t in turns]):.2f} of the test sentences can be turned"
    return said + (f"; {len(same)} of them still mean the same, such as *{same[0]}*." if same else ".")


exercises.check(
    turned,
    [
        (("a red ball slides to the left",), "a red ball slides to the right", "Left becomes right."),
        (("a star blinks",), None, "Nothing rather than the same sentence."),
        (("a star jumps down and up",), "a star jumps up and down", "Both words are turned."),
    ],
    then=odd,
)

# %% [markdown]
# "Jumps down and up" is no negative at all. This is what checks against a script find, and what a reader of captions
# from a language model has to look for by hand.

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### 3. Measure: how far does the word *not* go?
#
# *8 minutes, medium.*
#
# A "model" that never learns and never looks: similarity is 1, minus 1 if exactly one of the two texts contains *not*.
# What is its accuracy on the negated verbs of the test split? (A tie is not a success.)
#
# <details><summary>Hint 1</summary>Two booleans differ where <code>!=</code> says so.</details>
#
# <details><summary>Hint 2</summary><code>("not" in anchor.split()) != ("not" in other.split())</code> says whether
# they differ.</details>


# %% tags=["exercise"]
def not_detector(anchor: str, other: str) -> float:
    """1, or 0 where exactly one of the texts contains the word "not"."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_not_detector(anchor: str, other: str) -> float:
    """1, or 0 where exactly one of the texts contains the word "not"."""
    return 1.0 - float(("not" in anchor.split()) != ("not" in other.split()))


# %% jupyter={"source_hidden": true} tags=["check"]
def told_apart(component: str) -> float:
    """Accuracy of the detector on the test sentences that have the component."""
    negatives = [row[texts.components.index(component)] for row in texts.negatives]
    rows = zip(splits.test.sentences, texts.positives, negatives, strict=True)
    return float(np.mean([not_detector(s, p) > not_detector(s, n) for s, p, n in rows if n]))


exercises.check(
    not_detector,
    [
        (("a ball falls", "a ball does not fall"), 0.0, "One of the two contains it."),
        (("a ball falls", "a cube falls"), 1.0, "Neither contains it."),
        (("it does not fall", "it is not thrown"), 1.0, "Both contain it."),
        (("a knot falls", "a ball falls"), 1.0, "The letters of *not* inside another word are no *not*."),
    ],
    then=lambda: f"Told apart: { ({c: told_apart(c) for c in texts.components}) }. Without *not* everything ties.",
)

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### 4. Measure, open-ended: hold the weights open
#
# *40 minutes, open.*
#
# Train X-CLIP with `{"model.components.loss.entropy_bonus": 0.5}` and with
# `{"model.components.loss.detach_importance": True}`, each by `page.train(..., NAME, splits=splits)`. Does the entropy
# stay up? Does the match accuracy, own video against shuffled, move? And what changes for moments with
# `{"model.components.loss.weight": 0.1}`?

# %% [markdown]
# ## What to read next
#
# [07](07_your_own_video.ipynb) asks a model about one file. [04](04_bm_detr.ipynb) trains the family of QD-DETR in
# earnest. `vmlkit variants --help` writes variants of your own captions; the tests in `tests/parity` hold X-CLIP, its
# optimiser and its metrics against the released program.
