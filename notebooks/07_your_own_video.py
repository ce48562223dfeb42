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
# # Your own video: a file, a sentence, the moment
#
# **Any file, any sentence: you get seconds back, from a trained model and from no training at all, side by side.**
# First on a film whose script is known, so that every answer can be checked; then on a file of yours.
#
# Time: about a minute at `ci` size on two cores. No GPU, no download.
#
# Words and symbols of all pages: [glossary](glossary.md).

# %% [markdown]
# **You need:** the tour. For a video of your own: its file, and a folder of a saved CLIP or SigLIP.
#
# **Afterwards you can** ask a trained model when a sentence happens in a file; check its answer by eye and by IoU; say
# when frames alone are enough.
#
# **Path:** before this page comes [06: sentence components](06_sentence_components.ipynb); next is [08: look at the
# data](08_data_check.ipynb).

# %% [markdown]
# ## The question
#
# "How do I run it on my video?" is what people ask most about published models of this field. A number in a table is
# an average over a data set; here the model meets *one* file, and you see what it says, where it looks, and when it is
# wrong. So: when does your sentence happen in your video?

# %% tags=["parameters"]
size = "ci"  # "ci": about a minute; "demo", "long": longer trainings of the same model
seed = 0
device = "auto"  # "cpu", "cuda", or a card where there is one
run_dir = "runs/07_your_own_video"  # other values of the above get folders of their own beside it
film_seed = 7  # which film is rendered; every seed is another one
your_video = ""  # the path of a file of yours
your_sentence = ""  # what happens in it
your_encoder = ""  # folder of a saved CLIP or SigLIP; empty: the toy world's own encoder

# %% jupyter={"source_hidden": true}
import numpy as np

import vmlkit as vk
from vmlkit import spans as sp
from vmlkit.errors import DataError
from vmlkit.finding.attention import word_attention
from vmlkit.finding.finder import Finder
from vmlkit.finding.pictures import draw_answers, film_strip
from vmlkit.finding.toy_video import render_recorded, write_toy_video
from vmlkit.viz import notebook as nb
from vmlkit.viz.moment_playground import moment_playground
from vmlkit.viz.moments import draw_word_attention
from vmlkit.viz.scrubber import scrubber
from vmlkit.viz.style import save_figure
from vmlkit.viz.timeline import draw_epochs

page = vk.open_page(run_dir, size=size, seed=seed, device=device)
exercises = vk.Exercises(3)

# %% [markdown]
# ## The data, looked at first
#
# A *film* of the toy world: sixty seconds, six events, written from random numbers that no data set draws from. It is
# rendered into a real file of video, compressed, with nothing else inside. Its script lies beside it.

# %%
path = page.path("films") / f"film{film_seed}.mp4"
film = write_toy_video(path, film_seed)
print(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB")
for said in film.sentences:
    print(f"{said.span_s[0]:6.1f} – {said.span_s[1]:5.1f} s  {said.text}")

# %% [markdown]
# ### Symbols
#
# | symbol | in the code | what |
# | --- | --- | --- |
# | $[s, e]$: a moment | `start, end` | seconds |
# | IoU | `vmlkit.spans.iou` | shared length over the length from the first start to the last end |
# | IoN | `vmlkit.spans.ion` | share of a moment that lies inside an answer and outside the truth |
# | $a_{l,t}$: attention of word $l$ at time $t$ | `weights` | (L, T), 1 is even attention |

# %% [markdown]
# ## Before you train: predict
#
# The model trains on 20 to 40 second videos, without a single time label. The film is twice as long. Of its six
# sentences, how many does the model find with an IoU above one half? And how many does a frame-by-frame comparison
# that was trained on no moment at all? Write both numbers down.

# %% [markdown]
# ## Train
#
# The model of the tour (CPL), for a few epochs. It only ever sees whole videos with sentences.

# %%
run = page.train(page.preset("cpl", {"train.epochs": 6} if size == "ci" else {}))
print(f"test split: R@1,IoU=0.5 is {100 * run.metrics['test']['R@1,IoU=0.5']:.0f} %")

# %% [markdown]
# ## Watch it learn
#
# One sentence of the recorded ones, three epochs; then all of them, with a slider. The video of that sentence is a file
# too: press play, or click into the film strip, and a bar moves through the proposals.

# %%
last = run.proposals[run.proposals.epoch == run.proposals.epoch.max()]
shown = last[last.chosen].sort_values("iou").query_id.iloc[-1]
draw_epochs(run, shown, (0, 2, -1))

# %% [markdown]
# *The recorded sentence with the best answer at the end, so a favourable one.*

# %%
films = render_recorded(run, path.parent, [shown])
scrubber(run, query=shown, films=films, epoch=-1)

# %% [markdown]
# ## Encode once, ask often
#
# `encode` decodes the file and makes two rows of features a second; they are kept under the file's content, so a second
# call reads them back. The model answers about overlapping windows as long as its training videos.

# %%
finder = Finder(run.path, device="cpu")
video = finder.encode(path)
answers = finder.ask_all([said.text for said in film.sentences])
print(f"{len(video.rows)} rows of {video.rows.shape[1]} numbers; windows of the model: {len(finder.windows.frames)}")
answers[0].frame.round(2)

# %% [markdown]
# ## The answer, checked against the script
#
# Blue: the trained model. Purple: *similarity*, the stretch whose frames look like the sentence. Green: the script.

# %%
truths = [said.span_s for said in film.sentences]
figure = draw_answers(path, video.info, answers[:3], truths[:3])
save_figure(figure, "figures/07_your_own_video.png")
figure


# %% jupyter={"source_hidden": true}
def right(rows: np.ndarray, truth: tuple[float, float]) -> bool:
    """Whether the first answer of a list has an IoU above one half with the truth."""
    return len(rows) > 0 and float(sp.hull_iou(rows[0, :2], np.array(truth))) > 0.5


for source in ("trained", "similarity"):
    hits = [right(getattr(found, source), truth) for found, truth in zip(answers, truths, strict=True)]
    print(f"{source:10s} {sum(hits)} of {len(hits)} sentences right")
assert sum(right(a.similarity, t) for a, t in zip(answers, truths, strict=True)) >= 4, "similarity finds most sentences"

# %% [markdown]
# Similarity is at home *here*: its reader was fitted on drawings of the toy world, as CLIP was on photographs. What a
# model learns from moments shows where frames alone do not tell: that is what the tables of the other pages are about.
# Forty films, none left out, are in `docs/find.md`.

# %% [markdown]
# ## Draw your own moment
#
# **Find the sentence by eye.** Drag the dark bar, or its ends. IoU says how well you and the script agree; IoN is what
# P0 calls the share of a negative inside the answer and outside the truth (P0 Eq. (5)), with you as the negative.

# %%
strip = film_strip(path, video.info)
moment_playground(strip, video.info.duration_s, answers[1].sentence, truths[1], answers[1].similarity[0, :2].tolist())

# %% [markdown]
# ## Where each word looks
#
# The model says the sentence word by word while it looks at the video. Dark: seconds that it looks at when it says the
# word. Type another sentence and run the cell again.

# %%
sentence = answers[0].sentence
looks = word_attention(finder, sentence)
figure = draw_word_attention(strip, looks.duration_s, looks.words, looks.weights)
save_figure(figure, "figures/07_your_own_video_words.png")
figure

# %% [markdown]
# ### Words that nobody taught it
#
# A model knows the words of its training sentences. Unknown ones are named and passed over; a sentence without any
# known word is refused in one sentence.

# %%
print(finder.ask("the zebra watches while the red circle slides to the left", top=1))
try:
    finder.ask("somebody opens a door")
except DataError as error:
    print("refused:", error)

# %% [markdown]
# ## Paper against code
#
# CPL ranks its proposals by how well a sentence with hidden words is filled in. Its paper describes hiding words as
# part of training; the released program hides them at random at test time too, so an answer depends on a draw. Here the
# draw is a seed. Two draws, one sentence:

# %%
asked = finder.model.read([answers[2].sentence], None, None)
for draw in (0, 1):
    (found,) = finder.model.answer(finder.windows, asked, top=3, seed=draw)
    print(f"draw {draw}:", "  ".join(f"{start:.1f}–{end:.1f} s" for start, end, _ in found.moments))

# %% [markdown]
# ## Put your file here
#
# Set `your_video` and `your_sentence` above. The toy world's encoder refuses photographs, and says so; with
# `your_encoder` (a folder of a saved CLIP or SigLIP) similarity answers about any video, and a run that was trained on
# that encoder's features answers beside it. On the command line:
#
# ```
# vmlkit find talk.mp4 "a man writes on the board" --encoder CLIP_FOLDER --page talk.html
# ```

# %%
if your_video and your_sentence:
    own = Finder(encoder=your_encoder or None)
    own.encode(your_video)
    print(own.ask(your_sentence))
else:
    print("no file was named; the cell above says how")

# %% [markdown]
# ## Claims measured
#
# On this film, with this run, just now: how long are the answers that are right?

# %%
lengths = [end - start for start, end in truths]
means = {}
for source in ("trained", "similarity"):
    ious = [float(sp.hull_iou(getattr(a, source)[0, :2], np.array(t))) for a, t in zip(answers, truths, strict=True)]
    means[source] = np.mean(ious)
    print(f"{source:10s} mean IoU {means[source]:.2f}, over moments of {min(lengths):.1f} to {max(lengths):.1f} s")

# %% jupyter={"source_hidden": true}
band = {f"mean IoU on the film, {source}": mean for source, mean in means.items()}
band |= {f"test {m}": run.metrics["test"][m] for m in ("R@1,mIoU", "R@1,IoU=0.3", "R@1,IoU=0.5")}
band |= {"NLL": run.epochs["loss/nll"].iloc[-1], "largest attention": float(looks.weights.max())}
exact = {"rows of the film": len(video.rows), "events": len(truths), "seconds of all moments": sum(lengths)}
constant = {name: run.metrics["baselines"][name] for name in ("whole video", "best constant window")}
exact |= {f"{name}: {m}": row[m] for name, row in constant.items() for m in ("R@1,mIoU", "R@1,IoU=0.3")}
nb.record(exact=exact, band=band, above=[("mean IoU on the film, similarity", "mean IoU on the film, trained")])

# %% [markdown]
# ## Exercises
#
# ### 1. Predict: the share of the first answers that are right
#
# *5 minutes, easy.*
#
# <details><summary>Hint 1</summary>Compare the IoU of each first answer with one half, then take the mean.</details>
#
# <details><summary>Hint 2</summary>intersection over the length from the first start to the last end.</details>


# %% tags=["exercise"]
def share_right(firsts: np.ndarray, truth: np.ndarray) -> float:
    """Share of the first answers (N, 2) whose IoU with the truth (N, 2) is above one half."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_share_right(firsts: np.ndarray, truth: np.ndarray) -> float:
    """Share of the first answers (N, 2) whose IoU with the truth (N, 2) is above one half."""
    low, high = np.minimum(firsts, truth), np.maximum(firsts, truth)
    return float((np.clip(low[:, 1] - high[:, 0], 0, None) / (high[:, 1] - low[:, 0]) > 0.5).mean())


# %% jupyter={"source_hidden": true} tags=["check"]
firsts = np.array([found.similarity[0, :2] for found in answers])
expected = np.mean([right(a.similarity, t) for a, t in zip(answers, truths, strict=True)])
two = np.array([[0.0, 2.0], [0.0, 1.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])
exercises.check(
    share_right,
    [
        (two, 0.5, "An IoU of exactly one half is not above one half."),
        ((np.array([[0.0, 1.0]]), np.array([[2.0, 3.0]])), 0.0, "Moments that do not meet share nothing."),
        ((firsts, np.array(truths)), expected, "It is the number printed above, as a share."),
    ],
    then="It is the number printed above, as a share.",
)

# %% [markdown]
# ### 2. Modify: overlapping windows
#
# *5 minutes, easy.*
#
# Windows of `length` rows begin every half window, and the last one ends with the video.
#
# <details><summary>Hint 1</summary><code>range(0, rows - length, length // 2)</code>, then one more.</details>
#
# <details><summary>Hint 2</summary>the last start is <code>rows - length</code>.</details>


# %% tags=["exercise"]
def starts_of_windows(rows: int, length: int) -> list[int]:
    """First rows of windows that overlap by half, for a video of more rows than a window has."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_starts_of_windows(rows: int, length: int) -> list[int]:
    """First rows of windows that overlap by half, for a video of more rows than a window has."""
    return [*range(0, rows - length, length // 2), rows - length]


# %% jupyter={"source_hidden": true} tags=["check"]
from vmlkit.finding.windows import place_windows

cases = [
    ((rows, 60), place_windows(rows, 60)[:, 0].tolist(), "The last window ends with the video.")
    for rows in (61, 120, 1200)
]
exercises.check(starts_of_windows, cases, then="Every moment of up to half a window lies whole in one of them.")

# %% [markdown]
# ### 3. Measure: the window of a curve
#
# *10 minutes, medium.*
#
# Similarity is a curve over time. Take the longest stretch above half of its highest value: where does it begin and
# end, and is it the moment?
#
# <details><summary>Hint 1</summary>Go through the rows once; remember where the current stretch began.</details>
#
# <details><summary>Hint 2</summary>when a row falls to the level, compare the run that ended with the longest so
# far.</details>


# %% tags=["exercise"]
def longest_stretch(curve: np.ndarray, level: float) -> tuple[int, int]:
    """First row and end of the longest run of rows above the level."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_longest_stretch(curve: np.ndarray, level: float) -> tuple[int, int]:
    """First row and end of the longest run of rows above the level."""
    best, begun = (0, 0), None
    for i, above in enumerate([*(curve > level), False]):
        if above and begun is None:
            begun = i
        if not above and begun is not None:
            best, begun = max(best, (begun, i), key=lambda run: run[1] - run[0]), None
    return best


# %% jupyter={"source_hidden": true} tags=["check"]
def on_the_film() -> str:
    """The stretch of the first sentence, beside the script."""
    first, end = longest_stretch(answers[0].curve, 0.5 * answers[0].curve.max())
    seconds = video.times[first, 0], video.times[end - 1, 1]
    return f"Stretch {seconds[0]:.1f} – {seconds[1]:.1f} s, script {truths[0][0]:.1f} – {truths[0][1]:.1f} s."


exercises.check(
    longest_stretch,
    [
        ((np.array([0.0, 1, 1, 0, 1, 0]), 0.5), (1, 3), "The end is the first row that is not above."),
        ((np.array([1.0, 0, 1, 1]), 0.5), (2, 4), "A stretch may end with the video."),
    ],
    then=on_the_film,
)

# %% [markdown]
# ## What to read next
#
# [08](08_data_check.ipynb) checks data before training. [00](00_tour.ipynb) trains this model step by step,
# `04_bm_detr` the supervised family whose released checkpoints `vmlkit find --checkpoint` asks, and
# `05_actions_with_text` what `vmlkit find --actions` lists.
