"""Every reader and some commands: good files for each, how it is called, and what must hold of what it gives back.

``make`` writes good files into a folder; ``read`` reads that folder and checks what it got.  A failed check is a silent
read of a value that breaks the rules of the layout.
"""

import random
from pathlib import Path

from tests.fuzz import commands, features, records, runs
from tests.fuzz.target import SENTENCES, VIDEOS, Target, check_rows, dump, of
from vmlkit.actions import feature_layouts, model_selection, thumos
from vmlkit.components import msvd
from vmlkit.components.variants import rows as variants
from vmlkit.text import tagging
from vmlkit.video.passport import read_passport

TARGETS: tuple[Target, ...] = (
    of("moments", records.CNM, "a.json", records.read_moments),
    of("moments of ActivityNet", records.ACTIVITYNET, "a.json.gz", records.read_moments, 2),
    of("rows of ActivityNet", records.ACTIVITYNET, "a.json", records.read_rows),
    *(of(f"rows of {name}", value, "a.json", records.read_rows) for name, value in records.OTHERS.items()),
    Target("text of Charades-STA", records.make_text, records.read_charades),
    of("queries", records.QUERIES, "a.jsonl", records.read_queries, 2),
    of("labels of clips", records.LABELS, "a.jsonl.gz", records.read_queries),
    of("predictions", records.PREDICTED, "a.jsonl", records.read_predictions, 2),
    of("database of actions", records.DATABASE, "a.json", records.read_actions, 3),
    of("reduced THUMOS14", records.REDUCED, "a.json", records.read_actions, 2),
    of("gt.json", records.LISTED, "gt.json", records.read_actions),
    Target("database by split", records.make_splits, records.read_actions),
    Target("THUMOS14 in object arrays", records.make_objects, records.read_actions, weight=3),
    Target("joint features", records.make_joint, records.read_joint, weight=2),
    Target("features in tables", records.make_csv_features, lambda f: check_rows(
        feature_layouts.TextFolder(f).read(v) for v in VIDEOS)),
    Target("training curve", records.make_curve, lambda f: model_selection.read_training_curve(f / "c.csv")),
    of("prompts of P3", [{"sentence": s, "tokens": s.split(), "tags": ["NN"] * 3} for s in SENTENCES], "p.json",
       thumos.read_prompts),
    Target("features.npz", features.make_npz, lambda f: features.read_features(f / "f.npz"), weight=2),
    Target("features.h5", features.make_hdf5, lambda f: features.read_features(f / "f.h5"), weight=2),
    Target("features.pt", features.make_torch, lambda f: features.read_features(f / "f.pt")),
    Target("features.safetensors", features.make_tensors,
           lambda f: features.read_features(f / "f.safetensors")),
    Target("folder of npy", features.make_folder, features.read_features),
    Target("folder of pt", features.make_torch_folder, features.read_features),
    Target("folder of several kinds", features.make_mixed_folder, features.read_features),
    Target("packed features", features.make_packed, lambda f: features.read_features(f / "p.safetensors"), weight=2),
    Target("kept clips", features.make_clips, features.read_clips, files="cache/*"),
    Target("GloVe.npz", records.make_glove, lambda f: records.read_glove(f / "g.npz"), weight=2),
    Target("GloVe text", records.make_glove_text, lambda f: records.read_glove(f / "g.txt.gz")),
    Target("tagged words", records.make_tags, lambda f: tagging.read_tagged(f / "t.jsonl.gz")),
    Target("states of tokens", records.make_states, records.read_states),
    Target("cache of answers", records.make_answers, records.read_answers, weight=3),
    Target("variants", records.make_variants, lambda f: variants.read_variants(f / "v.jsonl")),
    Target("variants, written on", records.make_variants, lambda f: variants.VariantWriter(f / "v.jsonl").close()),
    Target("MSVD", records.make_msvd, lambda f: msvd.captions_by_video(f, "train")),
    Target("MSVD's table", records.make_msvd_table, lambda f: msvd.captions_by_video(f, "train")),
    Target("sentences", records.make_sentences, records.read_sentences),
    Target("toy cache", features.make_toy, features.read_toy, weight=2),
    Target("kept rows of a video", features.make_found, features.read_found),
    Target("run, read", runs.make_run, runs.read_run, files="run/*", weight=5),
    Target("run, as a page", runs.make_run, runs.read_page, files="run/*", weight=3),
    Target("run, drawn", runs.make_run, runs.read_figure, files="run/*", weight=2),
    Target("run, resumed", runs.make_run, runs.resume_run, files="run/*", weight=4),
    Target("state of a run", runs.make_run, runs.resume_run, files="run/state.pt", weight=2),
    Target("weights", runs.make_run, runs.read_weights, files="run/last.safetensors"),
    Target("settings of a run", runs.make_settings, runs.read_settings, files="run/*", weight=2),
    Target("released.pt", runs.make_released, lambda f: runs.read_released(f / "r.pt"), weight=2),
    Target("released.safetensors", runs.make_released_tensors, lambda f: runs.read_released(f / "r.safetensors")),
    Target("results of a study", runs.make_results, runs.read_results, weight=3),
    Target("passport of features", runs.make_passport, lambda f: read_passport(f)),
    Target("vmlkit evaluate", runs.make_evaluated, lambda f: runs.command(
        "evaluate", str(f / "p.jsonl"), "--ground-truth", str(f / "t.jsonl"), "--json", str(f / "out.json")), weight=2),
    Target("vmlkit data check", runs.make_corpus, runs.check_corpus, weight=2),
    Target("vmlkit data convert", lambda f: dump(f / "a.json", records.ACTIVITYNET), runs.convert),
    Target("vmlkit labels", lambda f: dump(f / "a.json", records.REDUCED),
           lambda f: runs.command("labels", str(f / "a.json"))),
    *commands.TARGETS,
    Target("--set", lambda f: (f / "s.txt").write_text("a.b=[1, 2]") and None, runs.settings_line),
)  # fmt: skip


def escape(folder: Path) -> None:
    """A reader that ends in another error."""
    raise KeyError("value")


def swallow(folder: Path) -> None:
    """A reader that takes more than a gigabyte."""
    [bytearray(1 << 20) for _ in range(1600)].clear()


def spin(folder: Path) -> None:
    """A reader that never ends."""
    while True:
        pass


#: readers as they must not be, which the tests of the runner put in the place of a target's
FAULTS = {"escape": escape, "swallow": swallow, "spin": spin}


def draw(draws: random.Random, named: str = "") -> Target:
    """A target, by weight; of those with ``named`` in their name."""
    chosen = [target for target in TARGETS if named in target.name]
    return draws.choices(chosen, weights=[target.weight for target in chosen])[0]
