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
# # Look at the data before you look at the loss
#
# **A training on broken data ends with a number, and the number does not say that it is broken.** Features with another
# frame rate, ids with a prefix, test videos without features: each of them has been published over. This page checks a
# data set as `vmlkit data check` does, breaks one on purpose in eight ways, and shows what answers that never look at a
# video reach on it, because that is the floor under every table.
#
# Time: about half a minute on two cores. No GPU, no download.
#
# Words and symbols of all pages: [glossary](glossary.md).

# %% [markdown]
# **You need:** the tour's first sections; what a data set of videos, features and sentences is made of.
#
# **Afterwards you can** find out whether annotations and features belong together before you train; name the accidents
# that training would not notice; put a prior under a table.
#
# **Path:** before this page comes [07: your own video](07_your_own_video.ipynb).

# %% [markdown]
# ## The question
#
# You have annotations from one project and features from another. Do they belong together? What would training leave
# out, and would it say so? And how good is a model that has learned nothing but where moments usually lie?

# %% tags=["parameters"]
size = "ci"  # "ci": the toy world at its smallest; "demo" and "long" make it larger
seed = 0
device = "auto"  # "cpu", "cuda", or a card where there is one
run_dir = "runs/08_data_check"  # other values of the above get folders of their own beside it
source = ""  # data of your own, such as "charades": see the last section
annotations = ""  # its annotation files
features = ""  # its features

# %% jupyter={"source_hidden": true}
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

import vmlkit as vk
from vmlkit.data.array_files import open_arrays
from vmlkit.experiments.data_check import check_data
from vmlkit.experiments.page import SIZES
from vmlkit.viz import notebook as nb
from vmlkit.viz.data import draw_clock, draw_locations, draw_priors, draw_words
from vmlkit.viz.style import save_figure

page = vk.open_page(run_dir, size=size, seed=seed, device=device)
exercises = vk.Exercises(3)
pd.options.display.max_colwidth = 90

# %% [markdown]
# ## The data: a world that is in order
#
# The toy world makes its own videos, so nothing can be missing. The check still has something to say: how large the
# splits are, which sentences stand in two of them, and what location priors reach.

# %%
toy = check_data("toy", {"data.seed": seed}, size=SIZES[size])
print(toy)

# %% [markdown]
# ## One picture: where moments lie
#
# Every moment is a point: when it begins and how long it is, in fractions of its video. Nothing lies above the
# diagonal, where a moment would end after its video. The darker one place is, the better one fixed answer is.

# %%
fig = draw_locations(toy.tables.moments)
save_figure(fig, "figures/08_data_check_locations.png")
fig

# %%
draw_words(toy.tables.moments)

# %% [markdown]
# ## Location priors: the floor under every table
#
# Three answers that never look: the whole video, the constant window that fits the training split best, and a training
# span drawn at random. A metric on which the whole video is strong says little about a model that is strong on it.

# %%
fig = draw_priors(toy.priors)
save_figure(fig, "figures/08_data_check_priors.png")
fig

# %% [markdown]
# On real labels the same check needs the annotation files alone. With them below `$VMLKIT_DATA`, the next cell shows
# ActivityNet Captions: there the whole video beats several published rows at IoU 0.1, which a table without that row
# cannot show.

# %%
folder = Path(os.environ.get("VMLKIT_DATA", "nowhere"), "activitynet_captions")
if folder.is_dir():
    anet = check_data("activitynet", {"data.annotations": str(folder)})
    print(anet.priors.to_string(index=False, float_format=lambda value: f"{value:.2f}"))
else:
    print("no annotations of ActivityNet Captions here: set VMLKIT_DATA to the folder that holds activitynet_captions")

# %% [markdown]
# ## A corpus of files
#
# For what can go wrong with *files* we write some: sentences of the toy world in the layout of Charades-STA, tags and
# word vectors beside them, and features at two rows a second in one `.npz`.

# %% jupyter={"source_hidden": true}
rng = np.random.default_rng(seed)
corpus = page.path("corpus")
moments = toy.tables.moments
chosen = {split: list(dict.fromkeys(moments.query("split == @split")["video"]))[:12] for split in ("train", "test")}
arrays = {}


def write_corpus(folder: Path) -> None:
    """Annotations, tags, word vectors and features of a small corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    tagged = []
    for split, videos in chosen.items():
        part = moments[(moments["split"] == split) & moments["video"].isin(videos)]
        rows = [[r.video, r.duration, [r.start, r.end], r.sentence] for r in part.itertuples()]
        Path(folder, f"{split}.json").write_text(json.dumps(rows))
        for i, row in enumerate(rows):
            tokens = row[3].split()
            tagged.append({"split": split, "row": i, "tokens": tokens, "tags": ["NN"] * len(tokens)})
        arrays.update({r.video: rng.normal(size=(round(2 * r.duration), 32)).astype("f4") for r in part.itertuples()})
    Path(folder, "tokens_pos.jsonl").write_text("\n".join(map(json.dumps, tagged)))
    words = ["<PAD>", *sorted({token for entry in tagged for token in entry["tokens"]})]
    vectors = rng.normal(size=(len(words), 32)).astype("f4") * (np.arange(len(words)) > 0)[:, None]
    np.savez(folder / "glove_charades.npz", words=words, vectors=vectors, model_vocab=np.arange(1, len(words)))
    np.savez(folder / "features.npz", **arrays)


shutil.rmtree(corpus, ignore_errors=True)
write_corpus(corpus)
with open_arrays(corpus / "features.npz") as stored:
    print(len(stored), "videos, such as", {name: stored[name].shape for name in list(stored)[:2]})


# %% jupyter={"source_hidden": true}
def check(folder: Path, features: str | Path = "features.npz"):
    """The report on a folder of files."""
    given = {"data.annotations": str(folder), "data.features": str(folder / features)}
    return check_data("charades", given, size="ci")


clean = check(corpus)
print(clean)

# %% [markdown]
# All videos have features, at one clock of half a second a row. On one clock, all points lie on one line:

# %%
fig = draw_clock(clean.scan.videos, clean.scan.seconds_per_row)
save_figure(fig, "figures/08_data_check_clock.png")
fig

# %% [markdown]
# ## Predict: which of these would training notice by itself?
#
# Eight accidents, all of them met in the wild. Before you run the cell, write down which ones would end in an error,
# which would silently change the numbers, and which do no harm.

# %% jupyter={"source_hidden": true}
names = list(arrays)
train, test = chosen["train"], chosen["test"]
ACCIDENTS = {
    "a test video without features": lambda a: a.pop(test[0]),
    "a download that was cut off": lambda a: a.update({train[0]: a[train[0]][: len(a[train[0]]) // 3]}),
    "NaN in one row": lambda a: a.update({train[1]: np.where(np.arange(len(a[train[1]]))[:, None] == 3, np.nan, 1)}),
    "rows and dimensions exchanged": lambda a: a.update({train[2]: a[train[2]].T}),
    "a video of zeros": lambda a: a.update({train[3]: 0 * a[train[3]]}),
    "the features of another video": lambda a: a.update({test[1]: a[test[2]]}),
    "ids with a prefix": lambda a: [a.update({f"v_{name}": a.pop(name)}) for name in names],
    "twice the frame rate in some videos": lambda a: [a.update({n: np.repeat(a[n], 2, axis=0)}) for n in test[:3]],
}
found = {}
for accident, happen in ACCIDENTS.items():
    broken = dict(arrays)
    happen(broken)
    np.savez(corpus / "broken.npz", **broken)
    found[accident] = check(corpus, "broken.npz")
known = {finding.what for finding in clean.findings}
rows = {
    accident: {"exit code": int(report.damaged), "first finding": next(
        (str(f) for f in report.findings if f.what not in known), "nothing")}
    for accident, report in found.items()
}  # fmt: skip
pd.DataFrame.from_dict(rows, orient="index")

# %% [markdown]
# Prefixes are the commonest of all. The check shows the near name, and `vmlkit data pack --near-names` writes features
# under the ids of the annotations:

# %%
print(next(finding for finding in found["ids with a prefix"].findings if "no features" in finding.what))

# %% [markdown]
# ## Train: what a missing test video does
#
# Two short trainings of CNM: with all features, and without those of a quarter of the test videos. The second has
# another denominator. It is said on stderr, and the run keeps it.

# %% jupyter={"source_hidden": true}
fewer = {name: array for name, array in arrays.items() if name not in test[:3]}
np.savez(corpus / "fewer.npz", **fewer)
runs = {}
for name in ("features", "fewer"):
    settings = {"data.annotations": str(corpus), "data.features": str(corpus / f"{name}.npz"), "train.epochs": 2}
    settings |= {"data.clips": 16, "train.batch_size": 16, "train.seed": seed, "train.probe_queries": 4}
    experiment = vk.with_overrides(vk.preset("cnm", "charades", "ci"), settings)
    runs[name] = vk.run_experiment(experiment, page.path(name), resume=False, progress=False)
pd.DataFrame({name: {"N": run.metrics["n_test"], "left out": str([
    f"{entry['count']} of {entry['of']} {entry['what']}" for entry in run.metrics["left_out"].get("test", [])
    if "features" in entry["what"]])} for name, run in runs.items()}).T  # fmt: skip

# %% jupyter={"source_hidden": true}
band = {c: runs["features"].epochs[f"loss/{c}"].iloc[-1] for c in ("nll", "nll_whole_video", "nll_easy")}
band |= {f"{name}: mIoU": run.metrics["test"]["R@1,mIoU"] for name, run in runs.items()}
exact = {f"{name}: test queries": run.metrics["n_test"] for name, run in runs.items()}
rates = runs["features"].epochs.set_index("epoch").filter(like="lr/").iloc[-1]
exact |= {f"learning rate of the last update, {name.removeprefix('lr/')}": rate for name, rate in rates.items()}
exact |= {f"findings, {accident}": len(report.findings) for accident, report in found.items()}
exact |= {"toy moments": len(moments), "toy findings": len(toy.findings)}
constant = toy.priors[toy.priors["prior"].str.contains("constant|whole")].to_dict("records")
exact |= {f"toy {row['split']}, {row['prior']}: mIoU": row["R@1,mIoU"] / 100 for row in constant}
nb.record(exact=exact, band=band)

# %% [markdown]
# ## Files of other projects
#
# Layouts are recognised by their shape: read where there is a reader, or answered with their name and what to do. No
# pickle is ever opened.

# %% jupyter={"source_hidden": true}
from vmlkit.data.annotations.layouts import layout_of, rows_of

FOREIGN = {
    "ActivityNet's authors": '{"v_a": {"duration": 82.7, "timestamps": [[0.8, 19.8]], "sentences": ["a man jumps"]}}',
    "frames of 2D-TAN": '{"s.avi": {"fps": 25, "num_frames": 500, "timestamps": [[50, 100]], "sentences": ["cut"]}}',
    "TVR": '{"vid_name": "x", "duration": 61.4, "ts": [19.3, 29.1], "desc": "he sits", "type": "v", "desc_id": 1}',
    "a web page": "<!DOCTYPE html><html></html>",
    "MSR-VTT": '{"videos": [{"video_id": "video0"}], "sentences": [{"caption": "a", "video_id": "video0"}]}',
}
table = {}
for name, text in FOREIGN.items():
    path = corpus / "foreign.json"
    path.write_text(text)
    layout, _ = layout_of(path)
    row = rows_of(path)[0] if layout.read else None
    table[name] = {"recognised as": layout.name, "": layout.remedy or f"{row.sentence!r} at {row.windows[0]} s"}
pd.DataFrame.from_dict(table, orient="index")

# %% [markdown]
# ## Packing
#
# `vmlkit data pack` writes the features of a data set into one file in float16, resampled once. It is mapped into
# memory: opening it reads nothing, and a batch touches only its own pages.

# %%
from vmlkit.data.packed import PackedFeatures
from vmlkit.experiments.data_files import pack_source

given = {"data.annotations": str(corpus), "data.features": str(corpus / "features.npz"), "data.clips": 16}
print("\n".join(pack_source("charades", corpus / "packed.safetensors", given)))
packed = PackedFeatures(corpus / "packed.safetensors")
print(type(packed.frames).__name__, packed.frames.shape, "fingerprint", packed.fingerprint, "intact:", packed.intact())

# %% [markdown]
# ## Planted features
#
# Where no features are at hand, planted ones are drawn from the annotations. The check walks the same path:

# %%
planted = check_data("planted:charades", {"data.annotations": str(corpus)})
print(str(planted).split("answers that never")[0])

# %% [markdown]
# ## Exercises
#
# ### 1. Write a prior
#
# *8 minutes, medium.*
#
# R@1 at an IoU of `threshold` of one constant window, over moments in fractions of their videos. The metric of all
# tables counts an IoU of exactly the threshold as a hit.
#
# <details><summary>Hint 1</summary>The union of two overlapping intervals goes from the smaller start to the larger
# end.</details>
#
# <details><summary>Hint 2</summary><code>np.minimum</code> of the ends, <code>np.maximum</code> of the starts, then
# the mean of IoU &gt;= threshold.</details>


# %% tags=["exercise"]
def recall(window: tuple[float, float], spans: np.ndarray, threshold: float) -> float:
    """Share of the spans (N, 2) whose IoU with the window is at least the threshold."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_recall(window: tuple[float, float], spans: np.ndarray, threshold: float) -> float:
    """Share of the spans (N, 2) whose IoU with the window is at least the threshold."""
    common = np.minimum(spans[:, 1], window[1]) - np.maximum(spans[:, 0], window[0])
    union = np.maximum(spans[:, 1], window[1]) - np.minimum(spans[:, 0], window[0])
    return float((np.maximum(common, 0) / union >= threshold).mean())


# %% jupyter={"source_hidden": true} tags=["check"]
part = moments[moments["split"] == "test"]
spans = part[["start", "end"]].to_numpy() / part[["duration"]].to_numpy()
exercises.check(
    recall,
    [
        (((0, 1), np.array([[0.0, 0.5], [0.0, 1.0]]), 0.5), 1.0, "An IoU of exactly .5 counts at .5."),
        (((0, 0.5), np.array([[0.5, 1.0]]), 0.1), 0.0, "Intervals that only touch share nothing."),
        (((0, 0.2), np.array([[0.5, 1.0], [0.1, 0.2], [0.15, 0.9]]), 0.5), 1 / 3, "Only the second overlaps by half."),
    ],
    then=lambda: f"The best constant window has R@1, IoU=0.5 of {100 * recall(toy.window, spans, 0.5):.1f} %.",
)

# %% [markdown]
# ### 2. Find the leak
#
# *3 minutes, easy.*
#
# Which videos stand in both splits? Charades-STA's own files have none; files put together by hand often do.
#
# <details><summary>Hint 1</summary>Two sets.</details>
#
# <details><summary>Hint 2</summary><code>set(...) &amp; set(...)</code>, sorted.</details>


# %% tags=["exercise"]
def leaked(train: list[str], test: list[str]) -> list[str]:
    """The videos of the test split that are also in training, in alphabetical order."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_leaked(train: list[str], test: list[str]) -> list[str]:
    """The videos of the test split that are also in training, in alphabetical order."""
    return sorted(set(train) & set(test))


# %% jupyter={"source_hidden": true} tags=["check"]
exercises.check(
    leaked,
    [
        ((["a", "b"], ["b", "c", "b"]), ["b"], "Each video once."),
        ((["d", "b", "a"], ["a", "d"]), ["a", "d"], "In alphabetical order."),
        ((chosen["train"], chosen["test"]), [], "The corpus of this page has no leak."),
    ],
    then="The corpus of this page has no leak.",
)

# %% [markdown]
# ### 3. Which clock?
#
# *3 minutes, easy.*
#
# I3D features of THUMOS14 come every 16 frames at 25 frames a second, or every 4 frames at 30. How many seconds is one
# row, and how many rows has a video of 64 seconds?
#
# <details><summary>Hint 1</summary>A row covers as many frames as the stride.</details>
#
# <details><summary>Hint 2</summary>how long do that many frames take?</details>


# %% tags=["exercise"]
def seconds_per_row(stride: int, fps: float) -> float:
    """Seconds from one row of features to the next."""
    raise NotImplementedError


# %% jupyter={"source_hidden": true} tags=["solution"]
def solution_seconds_per_row(stride: int, fps: float) -> float:
    """Seconds from one row of features to the next."""
    return stride / fps


# %% jupyter={"source_hidden": true} tags=["check"]
exercises.check(
    seconds_per_row,
    [
        ((16, 25), 0.64, "16 frames at 25 frames a second."),
        ((4, 30), 64 / 480, "Every 4 frames at 30: a video of 64 seconds has 480 rows."),
    ],
    then="At a stride of 4 there are nearly five times as many rows.",
)

# %% [markdown]
# ## Data of your own
#
# Set `source`, `annotations` and `features` at the top, or run
# `vmlkit data check SOURCE --annotations PATH --features PATH --json report.json`: exit code 0 if nothing damages
# training, 1 if something does, for a CI.

# %%
if source:
    paths = {"data.annotations": annotations, "data.features": features}
    mine = check_data(source, {name: path for name, path in paths.items() if path})
    print(mine)

# %% [markdown]
# ## What to read next
#
# This is the last page; [00](00_tour.ipynb) trains a model in one sitting. `docs/core.md` names the files that this
# page used: the list of layouts is one record each, so a layout that is missing is a small change.
