"""``vmlkit predict RUN``: what a run's chosen epoch answers, as a file of the Moment-DETR layout.

One line a query: ``qid, query, vid``, windows in seconds with their scores, and a score of each clip where the method
gives one.  ``vmlkit evaluate FILE --ground-truth ANNOTATIONS`` reads it.
"""

from pathlib import Path

import numpy as np
import torch

from vmlkit.data.annotations.json_lines import Qid
from vmlkit.data.annotations.predictions_jsonl import QueryPrediction, write_predictions
from vmlkit.data.batches import MomentDataset
from vmlkit.detr.methods import METHODS as DETR
from vmlkit.detr.windows import PostProcessing, ranked_windows, suppress
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import load_run, task_of
from vmlkit.reconstruction.methods import METHODS as RECONSTRUCTION
from vmlkit.runs import RunDirectory
from vmlkit.training.checkpoints import load_weights
from vmlkit.training.evaluate import EVALUATION, EvaluationArrays, derive_seed
from vmlkit.training.method import Progress

#: the splits, as the final scoring numbers them; the training split comes after those
NUMBERS = {"validation": 0, "test": 1, "train": 2}


def predict_run(
    run_dir: str | Path,
    split: str = "test",
    out: str | Path | None = None,
    *,
    clip_s: float | None = None,
    nms: float | None = None,
    progress: bool = True,
) -> tuple[Path, int]:
    """Write the answers that ``metrics.json`` scores (their first draw); the path and the number of queries.

    Args:
        split: ``test``, ``validation`` or ``train``.
        out: ``predictions-SPLIT.jsonl`` in the run directory unless given.
        clip_s: length of a clip in seconds, for the released post-processing: windows are cut to the video and rounded
            to whole clips, and clip scores are those of such clips.  Without it windows stay exact, and there is one
            score for each cell of the method's grid.
        nms: IoU above which a worse window of the first ten goes.

    Raises:
        ConfigError: for a method whose answers are not ranked windows, or a number out of range.
    """
    if clip_s is not None and clip_s <= 0:
        raise ConfigError(f"--clip-length is {clip_s:g}: a clip lasts more than 0 seconds")
    if nms is not None and not 0 <= nms <= 1:
        raise ConfigError(f"--nms is {nms:g}: an IoU lies between 0 and 1")
    run = RunDirectory(run_dir)
    if run.config["method"] not in {**DETR, **RECONSTRUCTION}:
        known = ", ".join({**DETR, **RECONSTRUCTION})
        raise ConfigError(
            f"predict writes windows of single moments, and '{run.config['method']}' gives none: {known} do"
        )
    method, splits, experiment = load_run(run_dir, progress=progress)
    chosen = load_weights(method, run.checkpoint)
    seed = derive_seed(int(run.config["seed"]), EVALUATION, chosen["epoch"], NUMBERS[split])
    clock = Progress(chosen["epoch"], experiment.train.epochs, chosen["step"])
    data: MomentDataset = getattr(splits, split)
    _, arrays = task_of(experiment).answer(method, data, seed, 128, 1, clock)
    path = Path(out) if out is not None else run.path / f"predictions-{split}.jsonl"
    write_predictions(path, [_row(data, arrays, i, clip_s, nms) for i in range(len(data))])
    return path, len(data)


def _row(
    data: MomentDataset, arrays: EvaluationArrays, index: int, clip_s: float | None, nms: float | None
) -> QueryPrediction:
    """One query: its answer first, then the other windows by score; a vote may put a lower score first."""
    duration = float(data.durations[index])
    first, ranked = arrays.top1[index], arrays.order[index]
    order = np.concatenate((ranked[ranked == first], ranked[ranked != first]))
    # the likelier a window, the lower its NLL; a method with one proposal may leave it out
    scores = np.nan_to_num(np.exp(-arrays.nll[index].astype(np.float64)), nan=1.0)
    windows = ranked_windows(
        torch.from_numpy(arrays.proposals[index].astype(np.float64))[None],
        torch.from_numpy(scores)[None],
        torch.tensor([duration], dtype=torch.float64),
        order=torch.from_numpy(order)[None],
    )[0].numpy()
    if clip_s is not None:
        windows = PostProcessing(clip_length=clip_s, latest=duration)(windows)
    if nms is not None:
        windows = np.array(suppress(windows[:10].tolist(), nms))
    cells = arrays.clip_scores.get("saliency")
    return QueryPrediction(
        qid=_qid(data, index),
        query=data.sentences[index],
        vid=data.video_ids[index],
        windows_s=windows,
        clip_scores=None if cells is None else _clip_scores(cells[index], duration, clip_s),
    )


def _qid(data: MomentDataset, index: int) -> Qid:
    """The identifier of the annotation file: Charades-CD's queries carry the part of the test split before it."""
    name = data.query_ids[index]
    return int(name.rpartition("/")[2]) if data.name.startswith("planted:charades_cd/") else name


def _clip_scores(cells: np.ndarray, duration: float, clip_s: float | None) -> np.ndarray:
    """Scores without padding; with ``clip_s``, that of the cell in which the middle of each whole clip lies."""
    cells = cells[~np.isnan(cells)].astype(np.float64)
    if clip_s is None:
        return cells
    middles = (np.arange(max(int(duration / clip_s), 1)) + 0.5) * clip_s / duration
    found: np.ndarray = cells[np.minimum((middles * len(cells)).astype(int), len(cells) - 1)]
    return found
