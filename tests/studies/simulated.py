"""Synthetic studies whose truth is known: seeds of each row, videos shared by all, and what only both decide."""

import numpy as np

from vmlkit.studies.statistics import Sample

#: standard deviations (seed, video, seed and video together) of outcomes between 0 and 1: as measured on the toy world,
#: a study in which seeds hardly count, and one in which nothing else does
SPREADS = {"toy world": (0.025, 0.15, 0.25), "videos": (0.004, 0.2, 0.1), "seeds": (0.03, 0.02, 0.02)}


def rows(
    effects: list[float], spread: str, *, seeds: int, studies: int, videos: int = 100, draw: int = 0
) -> list[Sample]:
    """One sample a row, ``studies`` of each at once, of outcomes 0.4 plus the row's effect.

    What videos share between rows (their difficulty) is large, and cancels in a contrast.
    """
    generator = np.random.default_rng(draw)
    seed_sd, video_sd, both_sd = SPREADS[spread]
    shared = generator.normal(0.4, 0.25, (studies, 1, videos))
    samples = []
    for effect in effects:
        own = generator.normal(0, video_sd / np.sqrt(2), (studies, 1, videos))
        seed = generator.normal(0, seed_sd, (studies, seeds, 1))
        outcomes = effect + shared + own + seed + generator.normal(0, both_sd, (studies, seeds, videos))
        samples.append(Sample(means := outcomes.mean(axis=-1), outcomes - means[..., None]))
    return samples


def one(sample: Sample, study: int) -> Sample:
    """A single study out of many."""
    assert sample.videos is not None
    return Sample(sample.values[study], sample.videos[study])
