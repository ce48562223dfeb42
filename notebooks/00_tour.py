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
# # The tour: learning *when* without being told
#
# **A model that only ever sees whole videos with sentences can learn where in the video a sentence happens.**
# You train one here, watch what its windows do, and hold its numbers against guesses that never look at the video.
#
# Time: about one minute at `ci` size on two cores, a few minutes at `demo` size. No GPU, no download.
#
# Words and symbols of all pages: [glossary](glossary.md).

# %% [markdown]
# **You need:** what a neural network and an attention layer are; Python and a few lines of NumPy.
# **Afterwards you can** say how a sentence teaches *when* without times, read a curve, a scrubber and a table with
# guesses that never look, and train a model of your own.
#
# **Path:** this is the first page; next is [01: one Gaussian, two negatives](01_cnm.ipynb). Nothing installed?
# [Open it](../docs/open.md) says how.

# %% [markdown]
# ## The question
#
# You have a video and a sentence: *"the red circle slides to the left"*. When does it happen? People who label videos
# with times are slow and disagree with each other; people who write a sentence about a video are quick. So: can a model
# learn to answer in seconds although **no second was ever in its training data**?

# %% tags=["parameters"]
size = "ci"  # "ci": about a minute; "demo": a few minutes; "long": the longest run of the toy world
seed = 0
data = "toy"  # real sentences: "planted:charades" needs annotations only, "charades" features as well
annotations = ""  # their folder; empty looks below $VMLKIT_DATA
features = ""
device = "auto"  # "cpu", "cuda", or a card where there is one
run_dir = "runs/00_tour"  # other values of the above get folders of their own beside it

# %% jupyter={"source_hidden": true}
import numpy as np
import pandas as pd
import torch

import vmlkit as vk
from vmlkit.metrics.report import metrics_table
from vmlkit.viz import notebook as nb
from vmlkit.viz.curves import draw_curves
from vmlkit.viz.filmstrip import draw_film_strip
from vmlkit.viz.following import following
from vmlkit.viz.scrubber import save_html, scrubber
from vmlkit.viz.style import new_figure, save_figure
from vmlkit.viz.timeline import draw_epochs, draw_timeline
from vmlkit.viz.tracks import draw_tracks

files = {"annotations": annotations, "features": features}
page = vk.open_page(run_dir, size=size, seed=seed, data=data, **files, device=device, methods=["cpl"])
exercises = vk.Exercises(3)
experiment = page.preset("cpl")

# %% [markdown]
# ## The data, looked at first
#
# The toy world is rendered on your machine: coloured shapes act out a script, sentences describe what they do, and
# every span is known exactly. It is built to be hard: most videos hold a *confuser* (the same shape does something
# else, or another shape does the same), idle look-alikes, cuts, and title cards that no sentence describes.

# %%
splits = page.load(experiment)
for split in (splits.train, splits.validation, splits.test):
    print(f"{split.name:15s} {len(split):5d} sentences in {len(set(split.video_ids)):4d} videos")

# %% jupyter={"source_hidden": true}
example = 4
sentence, video = splits.test.sentences[example], splits.test.video_ids[example]
start_s, end_s = splits.test.spans_s[example]
fig = new_figure(figsize=(8, 1.5))
ax = fig.add_axes((0.01, 0.42, 0.97, 0.36))
draw_film_strip(ax, splits.test.film_strip(video, 14, 96), splits.test.durations[example])
ax.tick_params(axis="x", length=3, labelbottom=True)
ax.set_xlabel("seconds")
fig.suptitle(f"“{sentence}”", x=0.01, ha="left")
save_figure(fig, "figures/00_tour_question.png")
fig

# %% [markdown]
# *One test video as fourteen pictures, seconds below.* **Find the sentence yourself before you read on.** Here is the
# answer:

# %%
print(f"“{sentence}” happens from {start_s:.1f} s to {end_s:.1f} s of {splits.test.durations[example]:.1f} s")

# %% [markdown]
# ### What training sees
#
# A training batch has no field that says when. It is not hidden, it is absent: a model that asked for it would fail.

# %%
batch = splits.train.batch(range(2))
print("frames", tuple(batch.frames.shape), " words", tuple(batch.words.shape), " spans", batch.spans)
print(splits.train.sentences[:2])

# %% [markdown]
# ## The idea in one picture
#
# Guess a moment. Hide a third of the words of the sentence. Try to fill them in **by looking at the guessed moment
# only**. A guess that shows the red circle sliding left lets you fill in *left*; a guess that shows the title card does
# not. So "how well can I reconstruct the sentence from here?" is a teaching signal that needs no times.
#
# A guess must be differentiable to be improved, so it is a **Gaussian** over time: a center and a width.

# %% jupyter={"source_hidden": true}
duration = splits.test.durations[example]
truth = (start_s / duration + end_s / duration) / 2, (end_s - start_s) / duration
guesses = np.array([truth, (0.85, 0.2), (0.12, 0.3)])
figure = draw_timeline(
    None, splits.test.film_strip(video, 14, 64), duration, (start_s, end_s), guesses, sentence=sentence
)
save_figure(figure.figure, "figures/00_tour_idea.png")
figure.figure

# %% [markdown]
# *Three guesses, drawn as curves over the seconds: the filled one lies on the shaded ground truth.*

# %% [markdown]
# ### Symbols
#
# | symbol | in the code | shape |
# | --- | --- | --- |
# | $c, w$: center, width of a proposal | `centers`, `widths` | (B, P), shares of the video |
# | $g$: weight of a clip | `masks` | (B, P, S) on S cells of time |
# | $\mathcal{L}_{CE}$: how badly a proposal explains its sentence | `nll` | (B, P) |
# | $\sigma$: sharpness | `sigma` | a number |

# %% [markdown]
# ## The mathematics, on two numbers
#
# CPL (*contrastive proposal learning*, CVPR 2022): a proposal with center $c$ and width $w$ gives clip $i$ the weight
# $g_i = \exp\left(-\frac{(x_i-c)^2}{2 (w/\sigma)^2}\right)$. With $\sigma = 4$, at $c$ the weight is 1; half a
# width away it is $e^{-(\sigma/2)^2/2} = e^{-2}$.

# %%
from vmlkit.reconstruction.gaussian import peak_gaussian

g = peak_gaussian(torch.tensor(0.5), torch.tensor(0.5), 5, sigma=4)
print("cells 0, .25, .5, .75, 1:", g.numpy().round(4), "  e^-2 =", round(float(np.exp(-2)), 4))
assert torch.allclose(g[1], torch.tensor(np.exp(-2.0), dtype=torch.float32))

# %% [markdown]
# The weights then steer a transformer's attention: its attention probabilities are multiplied by $g$ and made to sum to
# one again. Of two clips that it finds alike, the one at $c$ gets $1 / (1 + e^{-2})$. This is the whole function; the
# *bias* $\log(g + 10^{-10})$ on the scores is the same thing, cheaper:

# %%
from vmlkit.nn.attention import Masking, attend, weighted_attention

alike = torch.zeros(1, 1, 2, 3)  # queries, keys and values of two clips side by side: every score is 0
_, attention = attend(alike, None, Masking(g[None, None, [2, 1]]), heads=1, maps=True)
print("half and half becomes", attention[0, 0, 0, 0].numpy().round(3))
assert torch.allclose(attention[..., 0], 1 / (1 + torch.tensor(-2.0).exp()))
nb.show_source(weighted_attention)

# %% [markdown]
# And this is how well a proposal explains its sentence: the negative log-likelihood of its words.

# %%
from vmlkit.reconstruction.losses import word_nll

nb.show_source(word_nll)

# %% [markdown]
# ## Before you train: predict
#
# The model makes four proposals and answers with the one that reconstructs the sentence best. A constant answer,
# *"the window that fits the training spans best"*, needs no video at all. Which mean IoU do you expect from each? Write
# your two numbers down.

# %% [markdown]
# ## Train
#
# Every epoch is recorded: all proposals of a few validation sentences, every loss term, every metric.

# %%
run = page.train(experiment, splits=splits)
epochs = run.epochs
shown = ["epoch", "loss/nll", "loss/nll_whole_video", "metric/R@1,mIoU", "metric/R@1,IoU=0.5", "seconds"]
nb.fold("The run, epoch by epoch", epochs[shown].round(3).astype(str).set_index("epoch"))

# %% jupyter={"source_hidden": true}
figure = draw_curves(
    run, ["loss/nll", "loss/nll_whole_video", "metric/R@1,mIoU", "metric/R@1,IoU=0.5"], panels_per_row=2
)
save_figure(figure, "figures/00_tour_curves.png")
figure

# %% [markdown]
# *Loss and metrics over epochs.* The sentence becomes easier to fill in from the proposal than from the whole video.
# That gap is all that training has to go by. It can teach two things: where a window has to be, and which of several
# windows to choose. **Predict:** which of the two will you see below?

# %% [markdown]
# ## Watch it learn
#
# First without a mouse: one sentence, four epochs.

# %% jupyter={"source_hidden": true}
last = run.proposals[run.proposals.epoch == run.proposals.epoch.max()]
answers = last[last.chosen].set_index("query_id").iou
first = run.proposals[(run.proposals.epoch == 0) & run.proposals.chosen].set_index("query_id").iou
learned = (answers - first).sort_values(ascending=False).index
figure = draw_epochs(run, learned[0])
save_figure(figure, "figures/00_tour.png")
figure

# %% [markdown]
# *The recorded sentence whose answer improved most, so a favourable one. Bold: the answer, one of four windows. The
# line below the picture is written from the measure, over all sentences.*
#
# Now all epochs at once, epochs downwards. A line that bends is a window that moves; where thin dots join two places of
# the answer, another window was chosen and nothing moved.

# %%
figure = draw_tracks(run, learned[0])
save_figure(figure, "figures/00_tour_tracks.png")
figure

# %% jupyter={"source_hidden": true}
answer = run.proposals[run.proposals.chosen & (run.proposals.role == "positive")]
answer = answer.pivot(index="query_id", columns="epoch", values="index")
changes = (answer.diff(axis=1).iloc[:, 1:] != 0).sum(axis=1)
print(f"the answer changes its window {changes.mean():.1f} times per sentence in {answer.columns.max()} epochs")
nb.say(following(run))

# %% [markdown]
# So look twice before you say that a model "moves its window onto the moment": the measure decides, and every scrubber
# of this repository has its sentence below. Notebook `03` and `vmlkit train cpl --variant follow-sentences` are about
# windows that are asked to follow.
#
# Now drag. Slider: epoch. Menu: sentence. Arrow keys work too, and `t` shows the epochs before.

# %%
scrubber(run, query=learned[0])

# %% [markdown] jp-MarkdownHeadingCollapsed=true tags=["aside"]
# ### Every run that you have
#
# What you train is recorded below `runs/`, each run with its method, seed and day. Pick one:

# %%
vk.pick_run(run.path.parent, run.path)

# %% [markdown]
# ### As one file
#
# The scrubber as one file that you can mail around and open without Jupyter:

# %%
saved = save_html(run, run.path / "scrubber.html", query=learned[0])
print(saved, f"{saved.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## Paper against code
#
# A paper and its program are two descriptions of a method, and they differ more often than you would think. The first
# paper of this family multiplies the mask into the *scores* before the softmax; its program multiplies it into the
# *probabilities* after. Two clips with scores $(0, \ln 3)$, a mask of $(1, 0)$: do not look at the second clip.

# %% jupyter={"source_hidden": true}
scores, mask = torch.tensor([0.0, np.log(3)]), torch.tensor([1.0, 0.0])
q, k, v = torch.ones(1, 1, 1, 1, 1), scores.float().view(1, 1, 1, 2, 1), torch.zeros(1, 1, 1, 2, 1)
for form, place in (("prob", "code: on probabilities"), ("logit", "paper: on scores")):
    _, looks = weighted_attention(q, k, v, weight=mask.view(1, 1, 2), form=form)
    print(f"{place:24s} attention {looks.flatten().numpy().round(2)}")

# %% [markdown]
# On scores the second clip is not hidden at all. Here both forms are one setting, `attention`; every notebook has such
# a section, and `01_cnm` lets you drag this one with the mouse.

# %% [markdown]
# ## The numbers, beside guesses that never look
#
# `R@1,IoU=0.5`: share of sentences whose answer overlaps the truth by half or more. `mIoU`: mean overlap. The epoch was
# chosen on validation videos; the test split was read once, just now.

# %%
metrics = ["R@1,IoU=0.3", "R@1,IoU=0.5", "R@1,IoU=0.7", "R@1,mIoU", "R@5,mIoU"]
rows = {"CPL, this run": run.metrics["test"], **run.metrics["baselines"]}
table = metrics_table({name: {m: row[m] for m in metrics} for name, row in rows.items()}, run.metrics["n_test"])
table.round(1)

# %% [markdown]
# Two things to notice. **Whole video** and the **best constant window** have a respectable mIoU and are useless: they
# say "somewhere in here" to everything. `R@1,IoU=0.5` is the harder number to fake. And `R@5` takes the best of five
# answers, here of four proposals: five constant windows are strong at that too, so a high R@5 alone proves little.

# %% jupyter={"source_hidden": true}
better = {m: rows["CPL, this run"][m] - max(b[m] for b in run.metrics["baselines"].values()) for m in metrics}
for metric, gain in better.items():
    print(f"{metric:12s} {100 * gain:+6.1f} points against the best of the guesses")
for metric in ("R@1,mIoU", "R@1,IoU=0.5"):
    page.expect(better[metric] > 0, f"CPL does not beat the best constant window in {metric}")

# %% jupyter={"source_hidden": true}
end, prior = epochs.set_index("epoch").iloc[-1], run.metrics["baselines"]
band = {f"CPL {m}": rows["CPL, this run"][m] for m in metrics}
band |= {"NLL": end["loss/nll"], "NLL of the whole video minus NLL": end["loss/nll_whole_video"] - end["loss/nll"]}
band |= {"IoU of recorded answers": answers.mean(), "gain since epoch 0": (answers - first).mean()}
band |= {"gain in R@1,mIoU over the best guess": better["R@1,mIoU"], "changes of the answer": changes.mean()}
exact = {f"{name}: {m}": prior[name][m] for name in ("whole video", "best constant window") for m in metrics[-2:]}
exact |= {"test sentences": run.metrics["n_test"], "weight half a width away": float(g[1])}
nb.record(exact=exact, band=band, above=[("CPL R@1,mIoU", "best constant window: R@1,mIoU")])

# %% [markdown]
# ## Claims measured
#
# One run is an anecdote. A study repeats it over many seeds, outside this notebook, and an interval that counts seeds
# and test videos gives each claim its word; [What we found](../docs/findings.md) has the rules. Points are seeds, the
# grey band is what would not matter, a star marks what the study is made for.

# %%
vk.show_study("cpl")

# %% [markdown]
# ## Exercises
#
# Each check runs your function. *Solution* opens one that is right; hints come in two steps.
#
# ### 1. Predict: what does the whole-video guess score?
#
# *3 minutes, easy.*
#
# A span of width $w$ inside a video of length 1 overlaps the whole-video answer with IoU $w$. So what is its mIoU?
#
# <details><summary>Hint 1</summary>The intersection is the span itself, the union is the video.</details>
#
# <details><summary>Hint 2</summary>the IoU of (s, e) with (0, 1) is e - s.</details>


# %% tags=["exercise"]
def whole_video_miou(spans: np.ndarray) -> float:
    """Mean IoU of the answer (0, 1) with spans (N, 2) in fractions of the video."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_whole_video_miou(spans: np.ndarray) -> float:
    """Mean IoU of the answer (0, 1) with spans (N, 2) in fractions of the video."""
    return float((spans[:, 1] - spans[:, 0]).mean())


# %% jupyter={"source_hidden": true} tags=["check"]
spans = np.array([[0.0, 0.5], [0.25, 0.5]])
measured = run.metrics["baselines"]["whole video"]["R@1,mIoU"]
exercises.check(
    whole_video_miou,
    [
        ((spans,), 0.375, "Against (0, 1) these two have the IoU .5 and .25."),
        ((splits.test.spans,), measured, "The row *whole video* of the table above has it."),
    ],
    then="The mIoU of *everything* is just the mean share of the video that a moment takes.",
)

# %% [markdown]
# ### 2. Modify: answer with the *worst* proposal
#
# *5 minutes, medium.*
#
# Ranking by reconstruction is what makes the answer. Take the proposal with the **highest** NLL instead, and compute
# its mean IoU over the recorded sentences of the last epoch.
#
# <details><summary>Hint 1</summary><code>groupby(...).nll.idxmax()</code> gives the rows.</details>
#
# <details><summary>Hint 2</summary>take the rows <code>proposals.loc[...]</code> of those indices, then the mean of
# their iou.</details>


# %% tags=["exercise"]
def worst_answer_miou(proposals) -> float:
    """Mean IoU over queries of the positive with the highest ``nll`` (columns query_id, nll, iou)."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_worst_answer_miou(proposals) -> float:
    """Mean IoU over queries of the positive with the highest ``nll`` (columns query_id, nll, iou)."""
    return float(proposals.loc[proposals.groupby("query_id", observed=True).nll.idxmax()].iou.mean())


# %% jupyter={"source_hidden": true} tags=["check"]
positives = last[last.role == "positive"].reset_index(drop=True)
two = pd.DataFrame({"query_id": list("aabb"), "nll": [1.0, 2.0, 3.0, 1.0], "iou": [0.9, 0.1, 0.5, 0.7]})
rows = [group.iloc[group.nll.argmax()].iou for _, group in positives.groupby("query_id", observed=True)]
exercises.check(
    worst_answer_miou,
    [
        ((two,), 0.3, "Of two queries the rows with nll 2 and 3 count: their IoU is .1 and .5."),
        ((positives,), float(np.mean(rows)), "One row per query: the one with the largest nll."),
    ],
    then=lambda: f"Best reconstruction: mIoU {answers.mean():.3f}; worst: {worst_answer_miou(positives):.3f}.",
)

# %% [markdown]
# ### 3. Measure: R@1,IoU=m, by yourself
#
# *8 minutes, medium.*
#
# The most common number of the field, from nothing but spans: the share of sentences whose answer reaches IoU $m$.
# Does an answer that hits $m$ exactly count?
#
# <details><summary>Hint 1</summary>IoU of two spans: the smaller end minus the larger start (never below 0), divided by
# the larger end minus the smaller start.</details>
#
# <details><summary>Hint 2</summary><code>np.minimum</code> and <code>np.maximum</code> of both arrays give both
# lengths; then the mean of IoU &gt;= m.</details>


# %% tags=["exercise"]
def recall_at_one(answers: np.ndarray, truth: np.ndarray, m: float) -> float:
    """Share of rows whose spans (N, 2) and (N, 2) have an IoU of at least m."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_recall_at_one(answers: np.ndarray, truth: np.ndarray, m: float) -> float:
    """Share of rows whose spans (N, 2) and (N, 2) have an IoU of at least m."""
    low, high = np.minimum(answers, truth), np.maximum(answers, truth)
    overlap = np.clip(low[:, 1] - high[:, 0], 0, None)
    return float(np.mean(overlap / (high[:, 1] - low[:, 0]) >= m))


# %% jupyter={"source_hidden": true} tags=["check"]
two, constant = np.array([[0.0, 0.5], [0.0, 0.5]]), np.broadcast_to([0.0, 1.0], splits.test.spans.shape)
whole, word = run.metrics["baselines"]["whole video"], "The row *whole video* of the table above has it."
hits = [((constant, splits.test.spans, m), whole[f"R@1,IoU={m}"], word) for m in (0.3, 0.5, 0.7)]
by_hand = (two, np.array([[0.0, 1.0], [0.6, 1.0]]), 0.5)
exercises.check(
    recall_at_one,
    [(by_hand, 0.5, "An IoU of exactly .5 counts at m = .5, and a disjoint answer has the IoU 0."), *hits],
    then="Your function gives the row *whole video* of the table above, to the last digit.",
)

# %% [markdown]
# ### 4. Measure: how many proposals are worth having?
#
# *20 minutes, open.* Compare mIoU *and* R@5 of one proposal and of eight. What does the diversity term do when there
# is only one? A run for each:
#
# ```
# one = page.train(page.preset("cpl", {"model.proposals": 1}), "one_proposal", splits=splits)
# ```
#
# <details><summary>What to look for</summary>With one proposal nothing is chosen: every sentence gets nearly the same
# window. With eight R@5 grows by itself; ask whether R@1 does.</details>
#
# ## What to read next
#
# [01](01_cnm.ipynb) takes the first paper of this family apart, equation by equation: one Gaussian, two negatives, and
# a mask that the paper and its code put in different places.
