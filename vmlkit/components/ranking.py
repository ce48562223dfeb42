"""Text-to-video and video-to-text retrieval: R@k, median and mean rank, with every convention named.

Conventions that papers mix, and what is here:

* **Rank**: the number of candidates that score *strictly* higher than the true one, from 0 (``ties="optimistic"``),
  or at least as high, without itself (``ties="pessimistic"``).  With the first rule a collapsed model that gives every
  pair the same score is perfect; with the second it is last.  The released code counts every tied column as a query.
* **Video to text with several captions a video**: ``"best_caption_per_video"``, the code of CLIP4Clip and X-CLIP, gives
  each video the maximum over its captions and ranks *videos*; ``"all_captions"`` ranks the best own caption among the
  captions of all other videos.  R@1 is the same; everything else is easier with the first.
* **Median**: of an even number of ranks the mean of the middle two (numpy), or the lower one (torch; what the released
  code prints for text to video with several captions).

R@k are percent, as in the papers of this field; ranks are 1-based in ``MdR`` and ``MnR``, 0-based in arrays.
NaN scores count as minus infinity.  Axes: N texts, V videos.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from vmlkit.errors import DataError

Ties = Literal["optimistic", "pessimistic"]
Protocol = Literal["best_caption_per_video", "all_captions"]
Median = Literal["mean_of_middle", "lower"]

TIES: tuple[Ties, ...] = ("optimistic", "pessimistic")
PROTOCOLS: tuple[Protocol, ...] = ("best_caption_per_video", "all_captions")


def ranks(
    scores: Float[np.ndarray, "N V"], truth: Int[np.ndarray, " N"], ties: Ties = "optimistic"
) -> Int[np.ndarray, " N"]:
    """0-based rank of candidate ``truth[i]`` in row i.

    >>> scores, truth = np.array([[1.0, 2.0, 2.0]]), np.array([1])
    >>> ranks(scores, truth), ranks(scores, truth, "pessimistic")
    (array([0]), array([1]))
    """
    scores = np.asarray(scores)
    own = np.take_along_axis(scores, np.asarray(truth)[:, None], axis=1)
    # what is not a number loses against everything
    scores, own = (np.where(np.isnan(a), -np.inf, a) for a in (scores, own))
    if ties == "optimistic":
        made: np.ndarray = (scores > own).sum(axis=1)
        return made
    found: np.ndarray = (scores >= own).sum(axis=1) - 1
    return found


def rank_metrics(
    found: Int[np.ndarray, " N"], k: tuple[int, ...] = (1, 5, 10), median: Median = "mean_of_middle"
) -> dict[str, float]:
    """``R@k`` in percent, ``MdR`` and ``MnR`` of 0-based ranks.

    >>> rank_metrics(np.array([0, 4, 9]))
    {'R@1': 33.33333333333333, 'R@5': 66.66666666666666, 'R@10': 100.0, 'MdR': 5.0, 'MnR': 5.333333333333333}
    """
    if not len(found):
        raise DataError("retrieval", "there is no query", "evaluate at least one")
    middle = np.median(found) if median == "mean_of_middle" else np.sort(found)[(len(found) - 1) // 2]
    recall = {f"R@{n}": float((found < n).mean()) * 100 for n in k}
    return {**recall, "MdR": float(middle) + 1, "MnR": float(found.mean()) + 1}


def text_to_video_ranks(
    scores: Float[np.ndarray, "N V"], caption_video: Int[np.ndarray, " N"], ties: Ties = "optimistic"
) -> Int[np.ndarray, " N"]:
    """Every caption is a query over all V videos; ``caption_video`` names its own."""
    scores, caption_video = _checked(scores, caption_video)
    return ranks(scores, caption_video, ties)


def video_to_text_ranks(
    scores: Float[np.ndarray, "N V"],
    caption_video: Int[np.ndarray, " N"],
    ties: Ties = "optimistic",
    protocol: Protocol = "best_caption_per_video",
) -> Int[np.ndarray, " V"]:
    """Every video is a query; see the module docstring for the two protocols.

    With one caption per video both are the rank of the own caption among all captions.
    """
    scores, caption_video = _checked(scores, caption_video)
    videos = scores.shape[1]
    scores = np.where(np.isnan(scores), -np.inf, scores)
    best = np.full((videos, videos), -np.inf)  # [owner of the captions, query video]
    np.maximum.at(best, caption_video, scores)
    if protocol == "best_caption_per_video":
        return ranks(best.T, np.arange(videos), ties)
    own = best.diagonal()  # (V,)
    others = caption_video[:, None] != np.arange(videos)
    beaten = scores > own if ties == "optimistic" else scores >= own
    found: np.ndarray = (beaten & others).sum(axis=0)
    return found


def retrieval_metrics(
    scores: Float[np.ndarray, "N V"], caption_video: Int[np.ndarray, " N"], k: tuple[int, ...] = (1, 5, 10)
) -> dict[str, float]:
    """Both directions under every convention, labelled: ``"t2v R@1"``, ``"v2t MnR, all captions, pessimistic"`` ...

    Optimistic ties and the released code's video-to-text protocol carry no label.
    """
    result: dict[str, float] = {}
    for ties in TIES:
        label = "" if ties == "optimistic" else ", pessimistic"
        found = {"t2v": text_to_video_ranks(scores, caption_video, ties)}
        for protocol in PROTOCOLS:
            name = "" if protocol == "best_caption_per_video" else ", all captions"
            found[f"v2t{name}"] = video_to_text_ranks(scores, caption_video, ties, protocol)
        for direction, ranked in found.items():
            way, _, rest = direction.partition(",")
            tail = ("," + rest if rest else "") + label
            result |= {f"{way} {metric}{tail}": value for metric, value in rank_metrics(ranked, k).items()}
    return result


def _checked(scores: np.ndarray, caption_video: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scores, caption_video = np.asarray(scores, dtype=np.float64), np.asarray(caption_video)
    if scores.ndim != 2 or caption_video.shape != scores.shape[:1] or not scores.size:
        what = f"scores {scores.shape} and videos of captions {caption_video.shape} do not agree"
        raise DataError("retrieval", what, "give (texts, videos) and one video per text")
    videos = scores.shape[1]
    present = np.unique(caption_video)
    if len(present) != videos or present[0] != 0 or present[-1] != videos - 1:
        raise DataError(
            "retrieval", f"{len(present)} of {videos} videos have a caption", "leave out videos without one"
        )
    return scores, caption_video
