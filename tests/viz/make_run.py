"""A run directory made from arrays: proposals drift from anywhere to the truth, one query fails, negatives close in."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from vmlkit import spans

EPOCHS, POSITIVES, NEGATIVES, FRAMES, PIXELS = 12, 4, 3, 14, 48
SENTENCES = (
    "the red circle slides to the left",
    "a large yellow square bounces up and down",
    "the blue star spins around",
    "a green triangle moves upward",
    "the pink ring chases the cyan cross",
    "the cyan cross </script><b>shakes</b> & wobbles",
)
COLORS = (
    (0.90, 0.10, 0.10),
    (0.95, 0.85, 0.10),
    (0.15, 0.25, 0.95),
    (0.10, 0.75, 0.15),
    (0.95, 0.25, 0.75),
    (0.1, 0.8, 0.85),
)

CURVES = {"positive": {"sigma": 4.0}, "negative": {"sigma": 2.0}}


def write_run(
    path: Path,
    *,
    heat: bool = False,
    epochs: int = EPOCHS,
    queries: int = 6,
    seed: int = 0,
    name: str = "toy",
    positives: int = POSITIVES,
    negatives: int = NEGATIVES,
    windows: bool = False,
    signals: bool = False,
) -> Path:
    """Write a complete run directory and return its path.

    ``windows`` gives every query a second true window, ``signals`` records two signals per clip.  Runs with the same
    ``seed`` share their queries.
    """
    path.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    probe = [_query(rng, q) for q in range(queries)]
    if windows:
        for query in probe:
            query["spans_s"] = [query["span_s"], [round(0.9 * query["duration_s"], 2), query["duration_s"]]]
    counts = (positives, negatives)
    every = [_history(rng, q, k, epochs, counts) for k, q in enumerate(probe)]
    proposals = pd.concat(every, ignore_index=True)
    proposals["query_id"] = proposals["query_id"].astype("category")
    proposals.sort_values("epoch", kind="stable").to_parquet(path / "proposals.parquet", index=False)
    _epoch_table(rng, proposals, epochs).to_parquet(path / "epochs.parquet", index=False)
    (path / "probe.json").write_text(json.dumps(probe))
    (path / "config.json").write_text(json.dumps({"schema": 1, "name": name, "curves": CURVES}))
    (path / "metrics.json").write_text(json.dumps({"test": {"R@1,mIoU": 0.44}}))
    videos = np.array([q["video_id"] for q in probe])
    if signals:
        np.savez(path / "clip_scores.npz", **_signals(probe, epochs))
    if heat:
        trace = np.stack([np.exp(-(((np.arange(64) - 64 * rng.random()) / 9) ** 2)) for _ in probe])
        np.savez(path / "strips.npz", heat=trace.astype(np.float16), video_ids=videos)
    else:
        np.savez(
            path / "strips.npz", strips=np.stack([_strip(rng, q, k) for k, q in enumerate(probe)]), video_ids=videos
        )
    return path


def _query(rng: np.random.Generator, k: int) -> dict:
    duration = round(float(rng.uniform(20, 40)), 1)
    start = float(rng.uniform(0.08, 0.6)) * duration
    end = start + float(rng.uniform(0.16, 0.32)) * duration
    sentence = SENTENCES[k % len(SENTENCES)]
    return {
        "query_id": f"test/{k}",
        "video_id": f"toy_{k:03d}",
        "sentence": sentence,
        "words": sentence.split(),
        "duration_s": duration,
        "span_s": [round(start, 2), round(min(end, duration), 2)],
    }


def _signals(probe: list[dict], epochs: int) -> dict[str, np.ndarray]:
    """Saliency that sharpens onto the moment and an attention that does not; 50 clips, the last ones padding."""
    clips, done = np.arange(50), np.linspace(0, 1, epochs + 1)[:, None, None]
    used = np.array([50 - 3 * (k % 4) for k in range(len(probe))])[:, None]
    start, end = (np.array([[q["span_s"][i] / q["duration_s"]] for q in probe]) for i in (0, 1))
    inside = 1 / (1 + np.exp(-30 * np.minimum(clips / used - start, end - clips / used)))
    saliency = (1 - done) * 0.4 + done * inside + 0.05 * np.sin(clips)
    attention = 0.5 + 0.4 * np.sin(clips / 5 + done) * np.ones((1, len(probe), 1))
    scores = {"saliency": saliency, "attention": attention}
    padded = {name: np.where(clips < used, values, np.nan).astype(np.float16) for name, values in scores.items()}
    named = {"epochs": np.arange(epochs + 1), "query_ids": np.array([q["query_id"] for q in probe])}
    return named | padded


def _history(rng: np.random.Generator, query: dict, k: int, epochs: int, counts: tuple[int, int]) -> pd.DataFrame:
    positives_count, negatives_count = counts
    truth = np.array(query["span_s"]) / query["duration_s"]
    target = np.array([truth.mean(), np.ptp(truth)])
    if k == 4:
        target = np.array([(truth.mean() + 0.5) % 1.0, 0.3])
    first = np.stack([rng.uniform(0.1, 0.9, positives_count), rng.uniform(0.3, 0.8, positives_count)], axis=1)
    scale = np.resize([0.2, 1, 1.6, 2.2], positives_count)[:, None]
    ends = target + rng.normal(0, [0.06, 0.05], (positives_count, 2)) * scale
    away = np.stack([rng.uniform(0.03, 0.15, negatives_count), rng.uniform(0.05, 0.2, negatives_count)], axis=1)
    near = truth.mean() + np.resize([-0.24, 0.2, 0.3, -0.3, 0.12, -0.15, 0.4, 0.25], negatives_count)
    rows = []
    for epoch in range(epochs + 1):
        done = 1 - np.exp(-epoch / 3.5)
        positives = (1 - done) * first + done * ends + rng.normal(0, 0.012, first.shape)
        hard = 1 / (1 + np.exp(-(epoch - 0.6 * epochs)))
        goal = np.stack([near, np.full(negatives_count, 0.22)], axis=1)
        negatives = (1 - hard) * away + hard * goal + rng.normal(0, 0.01, away.shape)
        weights = np.exp(rng.normal(0, 0.1, negatives_count) + hard * np.resize([0.9, 0.1, -0.8], negatives_count))
        rows.append(_rows(epoch, query["query_id"], positives, negatives, weights / weights.sum(), truth, done, rng))
    return pd.concat(rows)


def _rows(epoch, query_id, positives, negatives, weights, truth, done, rng) -> pd.DataFrame:
    every = np.concatenate([positives, negatives])
    every[:, 0], every[:, 1] = every[:, 0].clip(0, 1), every[:, 1].clip(0.02, 1)
    edges = spans.to_start_end(every).clip(0, 1)
    p, m = len(positives), len(negatives)
    nll = 4.2 - 2.2 * done * spans.iou(edges, truth) + rng.normal(0, 0.03, p + m)
    best = int(nll[:p].argmin())
    return pd.DataFrame(
        {
            "epoch": np.int16(epoch),
            "query_id": query_id,
            "role": ["positive"] * p + ["negative"] * m,
            "index": np.array([*range(p), *range(m)], dtype=np.int8),
            "center": every[:, 0].astype(np.float32),
            "width": every[:, 1].astype(np.float32),
            "start": edges[:, 0].astype(np.float32),
            "end": edges[:, 1].astype(np.float32),
            "weight": np.array([np.nan] * p + list(weights), dtype=np.float32),
            "nll": nll.astype(np.float32),
            "chosen": np.arange(p + m) == best,
            "iou": spans.iou(edges, truth).astype(np.float32),
            "ion": np.array([np.nan] * p + list(spans.ion(edges[best], edges[p:], truth)), dtype=np.float32),
        }
    )


def _epoch_table(rng: np.random.Generator, proposals: pd.DataFrame, epochs: int) -> pd.DataFrame:
    chosen = proposals[proposals["chosen"]].groupby("epoch")
    e = np.arange(epochs + 1)
    return pd.DataFrame(
        {
            "epoch": e,
            "loss/reconstruction": np.where(e > 0, 2.1 + 2.0 * np.exp(-e / 3) + rng.normal(0, 0.03, len(e)), np.nan),
            "loss/ranking": np.where(e > 0, 0.06 + 0.3 * np.exp(-e / 2) + rng.normal(0, 0.01, len(e)), np.nan),
            "loss/total": np.where(e > 0, 2.2 + 2.2 * np.exp(-e / 3) + rng.normal(0, 0.03, len(e)), np.nan),
            "metric/R@1,mIoU": chosen["iou"].mean().to_numpy(),
            "metric/R@1,IoU=0.5": chosen["iou"].apply(lambda x: float((x >= 0.5).mean())).to_numpy(),
            "curriculum/c": np.maximum(e, 0.3) ** 0.5 / epochs**0.5 - 0.8,
            "lr/all": 1e-3 * np.minimum(1, e / 2),
            "grad_norm/all": 1.2 + 0.3 * rng.random(len(e)),
            "seconds": 3.1 + 0.2 * rng.random(len(e)),
        }
    )


def _strip(rng: np.random.Generator, query: dict, k: int) -> np.ndarray:
    """A coloured shape that stands still and moves only during the moment; a title card somewhere else."""
    start, end = query["span_s"]
    ground = np.array(((0.16, 0.16, 0.18), (0.55, 0.55, 0.52), (0.35, 0.30, 0.27), (0.78, 0.76, 0.72))[k % 4])
    y, x = np.mgrid[0:PIXELS, 0:PIXELS] / (PIXELS - 1)
    frames = []
    for n in range(FRAMES):
        t = (n + 0.5) * query["duration_s"] / FRAMES
        picture = ground + rng.normal(0, 0.01, (PIXELS, PIXELS, 1))
        if start - 2 < t < end + 2:
            u = np.clip((t - start) / (end - start), 0, 1)
            cx, cy = (0.84 - 0.68 * u, 0.5) if k % 2 == 0 else (0.5, 0.84 - 0.68 * u)
            inside = _shape(x - cx, y - cy, k)[..., None]
            picture = inside * np.array(COLORS[k % 6]) + (1 - inside) * picture
        elif abs(t - 0.9 * query["duration_s"]) < 2.5:
            lines = ((y * 9).astype(int) % 3 == 1) & (x > 0.2) & (x < 0.5 + 0.3 * np.sin((y * 9).astype(int)) ** 2)
            picture = np.where(lines[..., None], 0.95, np.array([0.08, 0.10, 0.30]) + 0 * picture)
        frames.append(picture)
    return (np.clip(np.stack(frames), 0, 1) * 255).astype(np.uint8)


def _shape(dx: np.ndarray, dy: np.ndarray, k: int) -> np.ndarray:
    r = np.hypot(dx, dy)
    distance = (
        r - 0.16,
        np.maximum(abs(dx), abs(dy)) - 0.15,
        r * (1 + 0.45 * np.cos(5 * np.arctan2(dx, -dy))) ** -1 - 0.15,
        np.maximum(dy - 0.12, abs(dx) * 0.87 + dy * -0.5 - 0.1),
        abs(r - 0.15) - 0.05,
        np.minimum(np.maximum(abs(dx) - 0.05, abs(dy) - 0.17), np.maximum(abs(dy) - 0.05, abs(dx) - 0.17)),
    )[k % 6]
    return np.clip(0.5 - distance * PIXELS, 0, 1)
