"""A field for a sentence of one's own, asked of a recorded run about the videos of a split."""

from pathlib import Path
from typing import Any

import numpy as np

from vmlkit import spans as sp
from vmlkit.data.batches import MomentDataset
from vmlkit.detr.dataset import DetrDataset
from vmlkit.errors import ConfigError
from vmlkit.experiments.experiment import load_run
from vmlkit.finding.models import MomentModel, Windows, model_of
from vmlkit.runs import RunDirectory
from vmlkit.viz.blocks import film_address


def ask_run(
    run: str | Path, *, split: str = "test", videos: int = 6, top: int = 5, device: str = "auto", loaded: Any = None
) -> Any:
    """A field for a sentence, and the run's answers over the film strip of a video; it opens with a known sentence.

    Words that the model does not know are named and passed over.  Where there is no kernel the field is disabled, and
    says so.

    Args:
        run: a run directory of a method that looks for moments.
        split: ``test``, ``validation`` or ``train``: whose videos.
        videos: how many, evenly over the split.
        top: answers of a sentence; of two that overlap by half the worse one is left out.
        device: where the model answers, see :func:`vmlkit.training.start.choose_device`.
        loaded: the run as :func:`vmlkit.experiments.experiment.load_run` gives it, where the caller has it already.

    Raises:
        ConfigError: for another split, no video or no answer, or a run that does not look for moments.
        MissingDependency: without anywidget.
    """
    from vmlkit.viz.sentence_widget import SentenceField

    if split not in ("train", "validation", "test") or videos < 1 or top < 1:
        raise ConfigError(
            f"split '{split}', {videos} videos, top {top}: take test, validation or train, and at least 1"
        )
    method, splits, experiment = loaded or load_run(run, progress=False, device=device)
    model = model_of(RunDirectory(run), method, splits.train, experiment)
    data: MomentDataset = getattr(splits, split)
    data = getattr(data, "base", data)  # without the variants of its sentences, which play no part in an answer
    ids = list(dict.fromkeys(data.video_ids))
    chosen = [ids[k * len(ids) // videos] for k in range(videos)] if videos < len(ids) else ids
    rows = {video: [row for row, other in enumerate(data.video_ids) if other == video] for video in chosen}

    def answer(video: int, sentence: str) -> dict[str, Any]:
        return _answer(model, data, rows[chosen[video]], sentence, top)

    return SentenceField([_shown(data, video, rows[video]) for video in chosen], answer, model.name)


def _shown(data: MomentDataset, video: str, rows: list[int]) -> dict[str, Any]:
    """A video as the field shows it: its pictures, and its own sentences."""
    strip = None if data.film_strip is None else film_address(data.film_strip(video, 12, 48))
    known = list(dict.fromkeys(data.sentences[row] for row in rows))
    return {"id": video, "duration": float(data.durations[rows[0]]), "strip": strip, "sentences": known}


def _answer(model: MomentModel, data: MomentDataset, rows: list[int], sentence: str, top: int) -> dict[str, Any]:
    """The model's windows in a video with their confidence or NLL, and IoU where the sentence is one of the video's."""
    asked = model.read([sentence], None, None)
    found = model.answer(_windows(data, rows[0]), asked, top)[0].moments
    truths = [data.spans_s[row] for row in rows if data.sentences[row] == sentence.strip()]
    items = []
    for start, end, score in found.tolist():
        iou = max((float(sp.iou(np.array([start, end]), truth)) for truth in truths), default=None)
        items.append({"start": start, "end": end, "iou": iou, "score": score if model.detr else -float(np.log(score))})
    return {
        "items": items,
        "detr": model.detr,
        "unknown": list(asked.unknown[0]),
        "truths": [truth.tolist() for truth in truths],
    }


def _windows(data: MomentDataset, row: int) -> Windows:
    """The whole video of a row of the split as one window."""
    video = int(data.video_index[row])
    frames, seconds = data.frames[video].float(), float(data.durations[row])
    count = len(frames)
    if isinstance(data, DetrDataset):
        seconds = float(data.prediction_seconds[row])
        count = count if data.counts is None else int(data.counts[video])
    return Windows(frames[None, :count].numpy(), np.array([count]), np.array([[0.0, seconds]]))
