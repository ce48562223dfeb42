"""What action localisation reaches without looking at a test video."""

import numpy as np

from vmlkit.data.actions import ActionDataset
from vmlkit.metrics.detection import Protocol, detection_map
from vmlkit.metrics.detections import Detections

RANDOM, WHOLE, PRIOR = "random windows, told the classes", "whole video, told the classes", "whole video, class prior"
#: windows per (video, class) of the random baseline, and draws over which it is averaged
WINDOWS, DRAWS = 10, 5


def action_baselines(train: ActionDataset, test: ActionDataset, protocol: Protocol) -> dict[str, dict[str, float]]:
    """mAP of three answers that see no frame.

    Two are *told* the true classes of each test video, which no method is: what remains above them is localisation.
    Random windows have the lengths of training instances (time labels that no method sees either).  The third knows
    only how frequent classes are in training.
    """
    truth = test.truth_under(protocol)
    rate = 1 / test.snippet_s

    def score(rows: np.ndarray) -> dict[str, float]:
        """``rows``: video, start s, end s, class, score."""
        unit = "snippets" if protocol == "p3" else "seconds"
        video = rows[:, 0].astype(np.int64)
        spans = rows[:, 1:3] * (rate[video][:, None] if unit == "snippets" else 1.0)
        found = Detections(
            video=video,
            spans=spans,
            labels=rows[:, 3].astype(np.int64),
            scores=rows[:, 4],
            unit="snippets" if protocol == "p3" else "seconds",
        )
        return detection_map(found, truth, protocol, snippets_per_s=rate).metrics()

    told = np.argwhere(test.labels.numpy() > 0)  # (video, class)
    lengths = np.diff(train.truth.spans_s)[:, 0]
    draws = []
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        pairs = np.repeat(told, WINDOWS, axis=0)
        duration = test.durations[pairs[:, 0]]
        length = np.minimum(rng.choice(lengths, len(pairs)), duration)
        start = rng.random(len(pairs)) * (duration - length)
        draws.append(score(np.column_stack((pairs[:, 0], start, start + length, pairs[:, 1], rng.random(len(pairs))))))
    whole = np.column_stack(
        (told[:, 0], np.zeros(len(told)), test.durations[told[:, 0]], told[:, 1], np.ones(len(told)))
    )
    videos, classes = np.indices(test.labels.shape).reshape(2, -1)
    prior = train.labels.numpy().mean(axis=0)[classes]
    every = np.column_stack((videos, np.zeros(len(videos)), test.durations[videos], classes, prior))
    return {
        RANDOM: {name: float(np.mean([d[name] for d in draws])) for name in draws[0]},
        WHOLE: score(whole),
        PRIOR: score(every),
    }
