"""Good annotations, words, sentences and variants, and how they are read."""

import contextlib
import csv
import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.target import SENTENCES, VIDEOS, check_rows, dump, finite, lines
from vmlkit.actions import feature_layouts, thumos
from vmlkit.components.variants import cache as answers
from vmlkit.components.variants import rows as variants
from vmlkit.components.variants import sentences
from vmlkit.data.annotations import charades, detr_jsonl, layouts, predictions_jsonl
from vmlkit.text import embeddings, sentence_features

# ---- annotations

CNM = [
    [video, 20.0 + i, [1.0 + i, 5], sentence] for i, (video, sentence) in enumerate(zip(VIDEOS, SENTENCES, strict=True))
]
ACTIVITYNET = {
    video: {"duration": 30.5, "timestamps": [[0, 3.5], [2, 30]], "sentences": list(SENTENCES[:2])} for video in VIDEOS
}


def read_moments(path: Path) -> None:
    for row in charades.read_annotations(path, beyond_duration="clip"):
        assert 0 <= row.start < row.end <= row.duration + 0.02
        assert row.sentence.strip()
        assert row.video_id
        assert isinstance(row.sentence, str)


def read_rows(path: Path) -> None:
    for row in layouts.rows_of(path):
        assert row.video_id + row.sentence, "no text"
        finite([row.duration, *(t for window in row.windows for t in window)])
        assert row.duration > 0


OTHERS: dict[str, Any] = {
    "tacos": {v: {"fps": 29.4, "num_frames": 900, "timestamps": [[1, 90]], "sentences": ["x y"]} for v in VIDEOS},
    "lgi": {str(i): {"video_id": v, "duration": 30, "timestamps": [1, 3], "query": "x y", "tokens": ["x"]}
            for i, v in enumerate(VIDEOS)},
    "timelens": {v: {"duration": 30, "spans": [[1, 3], [[2, 4], [5, 6]]], "queries": ["x y", "z"]} for v in VIDEOS},
    "didemo": [{"video": f"{v}.mp4", "times": [[0, 1], [0, 1], [2, 3]], "num_segments": 6, "description": "x y",
                "annotation_id": i} for i, v in enumerate(VIDEOS)],
    "ego4d": {"videos": [{"clips": [{"clip_uid": "c", "video_start_sec": 0, "video_end_sec": 480, "annotations": [
        {"annotation_uid": "a", "language_queries": [{"query": "x?", "clip_start_sec": 1, "clip_end_sec": 2}]}]}]}]},
    "youcook": {"database": {
        v: {"duration": 90, "annotations": [{"segment": [1, 9], "sentence": "x y"}]} for v in VIDEOS}},
}  # fmt: skip


def make_text(folder: Path) -> None:
    (folder / "t.txt").write_text("".join(f"{v} 1.0 5.5##{s}.\n" for v, s in zip(VIDEOS, SENTENCES, strict=True)))
    (folder / "d.csv").write_text("id,subject,length\n" + "".join(f"{v},S1,30.5\n" for v in VIDEOS))


def read_charades(folder: Path) -> None:
    for row in charades.read_annotations(folder / "t.txt", durations=folder / "d.csv"):
        assert 0 <= row.start < row.end <= row.duration + 0.02


QUERIES = [
    {"qid": i, "query": s, "duration": 20, "vid": v, "relevant_windows": [[0, 4], [6, 8]],
     "relevant_clip_ids": [0, 1, 3], "saliency_scores": [[1, 2, 3], [0, 4, 4], [2, 2, 2]]}
    for i, (v, s) in enumerate(zip(VIDEOS, SENTENCES, strict=True))
]  # fmt: skip
LABELS = [{"qid": f"q{i}", "query": "x y", "duration": 4, "vid": v, "domain": "VT", "label": [[1, 2], [3, 4]]}
          for i, v in enumerate(VIDEOS)]  # fmt: skip
PREDICTED = [{"qid": i, "pred_relevant_windows": [[0, 4, 0.9], [2, 8, 0.3]], "pred_saliency_scores": [0.1] * 10}
             for i in range(3)]  # fmt: skip


def read_queries(path: Path) -> None:
    for query in detr_jsonl.read_queries(path, warn=False).queries:
        assert all(0 <= start < end for start, end in query.windows_s)
        assert query.duration_s > 0
        finite(score for row in query.saliency_scores or () for score in row)


def read_predictions(path: Path) -> None:
    for prediction in predictions_jsonl.read_predictions(path):
        assert prediction.windows_s is None or np.isfinite(prediction.windows_s).all()
        assert prediction.clip_scores is None or np.isfinite(prediction.clip_scores).all()


# ---- actions

DATABASE = {
    "version": "1.3",
    "database": {
        v: {"subset": subset, "duration": 60.5, "url": "x",
            "annotations": [{"segment": [1.5, 9], "label": "Diving"}, {"segment": ["10", "12"], "label": "Billiards"}]}
        for v, subset in zip(VIDEOS, ("training", "validation", "testing"), strict=True)
    },
}  # fmt: skip
REDUCED = {
    "classes": ["Billiards", "Diving"],
    "videos": [{"name": v, "subset": "test", "duration": 60.5, "labels": ["Diving"], "segments": [[1, 9, "Diving"]],
                "ambiguous": [[10, 11]], "in_gt_json": True} for v in VIDEOS],
}  # fmt: skip
LISTED = {"class-list": {"0": "Billiards", "1": "Diving"}, **DATABASE}


def read_actions(path: Path) -> None:
    found = thumos.read_actions(path)
    for video in found.videos:
        assert isinstance(video.video_id, str)
        assert isinstance(video.subset, str)
        assert all(isinstance(label, str) and label in found.classes for label in video.labels)
        for start, end, label in video.segments:
            assert 0 <= start <= end < math.inf
            assert isinstance(label, str)
        finite(t for pair in video.ambiguous for t in pair)
        assert video.duration is None or 0 < video.duration < math.inf


def make_splits(folder: Path) -> None:
    for split in ("train", "val"):
        dump(folder / f"anet_anno_{split}.json", {f"{v}_{split}": e for v, e in DATABASE["database"].items()})


def make_objects(folder: Path) -> None:
    def objects(rows: list[Any]) -> np.ndarray:
        made = np.empty(len(rows), dtype=object)
        made[:] = rows
        return made

    np.save(folder / "segments.npy", objects([[[1.0, 2.0]], [[3.0, 4.5], [5.0, 6.0]], [[0.5, 1.0]]]))
    np.save(folder / "labels.npy", objects([["Diving"], ["Diving", "Billiards"], ["Billiards"]]))
    np.save(folder / "labels_all.npy", objects([["Diving"], ["Diving", "Billiards"], ["Billiards"]]))
    np.save(folder / "videoname.npy", np.array([v.encode() for v in VIDEOS]))
    np.save(folder / "subset.npy", np.array([b"test", b"validation", b"test"]))
    np.save(folder / "duration.npy", np.array([60.0, 30.0, 20.0]))
    np.save(folder / "classlist.npy", np.array([b"Billiards", b"Diving"]))
    (folder / "Ambiguous_test.txt").write_text("v_a  1.0 2.0\nv_c 0.1 0.2\n")
    dump(folder / "gt.json", LISTED)


def make_joint(folder: Path) -> None:
    made = np.empty(3, dtype=object)
    made[:] = [np.ones((4 + i, 3), np.float32) for i in range(3)]
    np.save(folder / "joint.npy", made)


def read_joint(folder: Path) -> None:
    store = feature_layouts.JointFeatures(folder / "joint.npy", VIDEOS)
    check_rows(store.read(video) for video in VIDEOS)


def make_csv_features(folder: Path) -> None:
    for video in VIDEOS:
        (folder / f"{video}.csv").write_text("f0,f1\n1.0,2.0\n3.0,4.0\n")


def make_curve(folder: Path) -> None:
    names = ["iteration", *(f"map_{t / 10:.1f}" for t in range(1, 10)), "avg_0.1_0.5", "avg_0.3_0.7"]
    with (folder / "c.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([names, *([i * 50, *(10.5 for _ in names[1:])] for i in range(3))])


# ---- words


def make_glove(folder: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    words = np.array(["<PAD>", "door", "opens", "a"])
    np.savez(folder / "g.npz", words=words, vectors=vectors, counts=np.arange(4), model_vocab=np.arange(1, 4))


def make_glove_text(folder: Path) -> None:
    text = "4 3\n" + "".join(f"{word} 0.1 -0.2 3e-1\n" for word in ("door", "opens", "a", "at name"))
    (folder / "g.txt.gz").write_bytes(gzip.compress(text.encode(), 1))


def read_glove(path: Path) -> None:
    found = embeddings.read_word_vectors(path, {"door", "opens", "a"})
    assert np.isfinite(found.vectors).all()
    assert found.vectors.shape[0] == len(found.words)
    assert all(isinstance(word, str) for word in found.words)


def make_tags(folder: Path) -> None:
    tags = [{"split": "train", "row": i, "tokens": ["a", "door"], "tags": ["DT", "NN"]} for i in range(3)]
    lines(folder / "t.jsonl.gz", tags)


def make_states(folder: Path) -> None:
    for i in range(3):
        np.savez(folder / f"qid{i}.npz", last_hidden_state=np.ones((4, 5), np.float32), pooler_output=np.ones(5))


def read_states(folder: Path) -> None:
    found = sentence_features.open_sentences(folder).read(("0", "1", "2"), SENTENCES, 8)
    assert np.isfinite(found.rows).all()
    assert (found.starts + found.lengths <= len(found.rows)).all()
    assert found.pooled is None or np.isfinite(found.pooled).all()


# ---- components


def make_answers(folder: Path) -> None:
    kept = answers.AnswerCache(folder / "a.sqlite")
    for i in range(3):
        kept.put("m", "1", SENTENCES[i], "{}")
    kept.close()
    for extra in folder.glob("a.sqlite-*"):
        extra.unlink()


def read_answers(folder: Path) -> None:
    with contextlib.closing(answers.AnswerCache(folder / "a.sqlite")) as kept:
        for sentence in SENTENCES:
            found = kept.get("m", "1", sentence)
            assert found is None or isinstance(found, (str, int, float, list, dict))
        kept.put("m", "1", "new", "{}")
        assert len(kept) > 0


def make_variants(folder: Path) -> None:
    with variants.VariantWriter(folder / "v.jsonl") as file:
        refused = (variants.Rejection("x", "too short"),)
        made = {"component": "changed_verb", "generator": "rules", "model": "rules", "rejected": refused}
        file.append([variants.SentenceVariant(sentence=s, text="x y", **made) for s in SENTENCES])


def make_msvd(folder: Path) -> None:
    for split in ("train", "val", "test"):
        (folder / f"{split}_list.txt").write_text("\n".join(VIDEOS) + "\n")
    dump(folder / "raw-captions.json", {v: [["a", "man"], "a dog runs"] for v in VIDEOS})


def make_msvd_table(folder: Path) -> None:
    (folder / "train_list.txt").write_text("v_a_1_5\n")
    (folder / "video_corpus.csv").write_text("VideoID,Start,End,Language,Description\nv_a,1,5,English,a dog runs\n")


def make_sentences(folder: Path) -> None:
    dump(folder / "s.json", CNM)
    lines(folder / "s.jsonl.gz", [{"caption": s} for s in SENTENCES])


def read_sentences(folder: Path) -> None:
    for name in ("s.json", "s.jsonl.gz"):
        assert all(isinstance(s, str) and s.strip() for s in sentences.read_sentences(folder / name))
