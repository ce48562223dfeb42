"""One clock: how many seconds a row of features covers, found from durations and held against them.

A store hands out rows without times.  Features of another stride or frame rate than supposed put every moment in the
wrong place without any error, so all sources let one :class:`RowWatch` see every array, and ask it for the clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vmlkit.data.left_out import Ledger
from vmlkit.errors import DataError
from vmlkit.files.records import COUNT, TEXT, Entry, Many, Table

#: seconds a row of circulating features: frames a row over frames a second, and whole or half seconds
USUAL_CLOCKS = (
    *(frames / fps for fps in (25, 30, 24, 15) for frames in (16, 8, 4, 32, 64, 2, 1)),
    *(0.5, 1.0, 1.5, 2.0, 3.0, 5.0),
)
#: a clock is common where at least this share of the videos fits it
_MOST = 2 / 3
#: rows by which a video may differ from its duration: whole windows only, or a started one as well
_SLACK_ROWS = 2.0
#: rows that the shortest videos may have whatever their length: some extractors give no fewer, nor do planted features
_FEWEST = 8
_ONE_ROW, _ZERO, _CONSTANT = (
    "have features of one row",
    "have features that are all zero",
    "have the same row throughout",
)


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Seconds a row of each video, and the number that most of them share."""

    seconds: Float[np.ndarray, " videos"]
    common: float | None  #: ``None`` where rows and durations of the videos fit no common number
    resampled: int | None = None  #: rows that every video has, where they were resampled to one number


#: what :meth:`RowWatch.record` gives
SEEN = Entry({"rows": Table(COUNT), "odd": Table(Many(TEXT))})


@dataclass
class RowWatch:
    """Sees the arrays of a split, one after the other.

    Args:
        source: the file or folder, for messages.
    """

    source: object
    rows: dict[str, int] = field(default_factory=dict)  #: by video, in the order of reading
    odd: dict[str, list[str]] = field(default_factory=dict)  #: kind of oddity -> videos
    shape: tuple[int, int] | None = None  #: of the first array

    def see(self, video_id: str, array: Float[np.ndarray, "rows Dv"]) -> None:
        """Look at the array of a video.

        Raises:
            DataError: for another number of dimensions than the arrays before; says so where it looks transposed.
        """
        first = self.shape = self.shape or (array.shape[0], array.shape[1])
        if array.shape[1] != first[1]:
            found = f"video '{video_id}' has {array.shape[1]} dimensions where the videos before it have {first[1]}"
            if array.shape[0] in first:
                what = f"{found}: the shape {array.shape} beside {first} looks like (dimensions, rows)"
                raise DataError(self.source, what, "save every array as (rows in time, dimensions)")
            raise DataError(self.source, found, "extract all videos with the same network")
        self.rows[video_id] = len(array)
        if len(array) == 1:
            self.odd.setdefault(_ONE_ROW, []).append(video_id)
        if not array[0].any() and not array.any():
            self.odd.setdefault(_ZERO, []).append(video_id)
        elif len(array) > 1 and np.array_equal(array[0], array[-1]) and (array == array[0]).all():
            self.odd.setdefault(_CONSTANT, []).append(video_id)

    def record(self) -> dict[str, Any]:
        """What :meth:`restore` takes."""
        return {"rows": dict(self.rows), "odd": {kind: list(videos) for kind, videos in self.odd.items()}}

    def restore(self, record: Mapping[str, Any]) -> None:
        """What was seen when a cache was written."""
        self.rows.update(record["rows"])
        self.odd.update({kind: list(videos) for kind, videos in record["odd"].items()})

    def clock(
        self,
        durations_s: Mapping[str, float | None],
        ledger: Ledger,
        split: str,
        *,
        given: float | None = None,
        usual: float | None = None,
    ) -> Clock:
        """Seconds a row, compared with the durations; what does not fit is written down.

        Args:
            durations_s: by video; ``None`` where the annotations do not say.
            given: the setting ``data.seconds_per_row``.
            usual: what the features of this data set usually have; tried first, and taken where nothing is known.

        Raises:
            DataError: where most videos do not fit the ``given`` number of seconds.
        """
        for kind, videos in self.odd.items():
            ledger.note(split, f"videos {kind}", "are kept", len(videos), len(self.rows), videos)
        rows = np.array(list(self.rows.values()), dtype=np.float64)
        known = np.array([durations_s[video] or np.nan for video in self.rows])
        if np.isnan(known).all():
            seconds = given or usual
            if seconds is None:
                raise DataError(self.source, "no video has a duration", "set data.seconds_per_row")
            return Clock(seconds=np.full(len(rows), seconds), common=seconds)
        found = common_clock(rows, known, (usual,) if usual else ())
        if given is not None and np.nanmean(fits(rows, known, given)) < 0.5:
            better = found or float(np.nanmedian(known / rows))
            what = f"features and durations fit {better:.3g} s a row, not {given:g} s (data.seconds_per_row)"
            raise DataError(self.source, what, "correct the setting, or take the features that belong to it")
        common = given or found
        same = len(rows) > 2 and len(set(self.rows.values())) == 1 and np.nanstd(known) > 0.05 * np.nanmean(known)
        if common is None or (same and given is None):
            return Clock(seconds=np.where(np.isnan(known), usual or np.nan, known / rows), common=None,
                         resampled=int(rows[0]) if same else None)  # fmt: skip
        self._name_misfits(rows, known, common, ledger, split)
        return Clock(seconds=np.full(len(rows), common), common=common)

    def _name_misfits(self, rows: np.ndarray, known: np.ndarray, common: float, ledger: Ledger, split: str) -> None:
        videos = list(self.rows)
        early = rows < known / common
        for word, wrong in (("end early", early), ("go on after the video", ~early)):
            names = [videos[i] for i in np.flatnonzero(wrong & misfits(rows, known, common))]
            what = f"videos have features that {word}, at {common:.3g} s a row"
            ledger.note(split, what, "are kept", len(names), len(videos), names)


def misfits(
    rows: Float[np.ndarray, " videos"], durations_s: Float[np.ndarray, " videos"], seconds: float
) -> Bool[np.ndarray, " videos"]:
    """Which videos miss a tenth of their rows or have a tenth too many, two rows aside and beyond eight.

    >>> misfits(np.array([98.0, 85.0, 140.0]), np.array([64.0, 64.0, 64.0]), 0.64).tolist()
    [False, True, True]
    """
    wanted = durations_s / seconds
    far = np.abs(rows - wanted) > _SLACK_ROWS + 0.1 * wanted
    found: np.ndarray = far & ((rows > _FEWEST) | (rows < wanted))
    return found


def fits(
    rows: Float[np.ndarray, " videos"], durations_s: Float[np.ndarray, " videos"], seconds: float
) -> Bool[np.ndarray, " videos"]:
    """Which videos have as many rows as their duration asks for, up to two rows and a hundredth.

    >>> fits(np.array([100.0, 50.0]), np.array([64.0, 64.0]), 0.64).tolist()
    [True, False]
    """
    wanted = durations_s / seconds
    found: np.ndarray = np.abs(rows - wanted) <= _SLACK_ROWS + 0.01 * wanted
    return found


def common_clock(
    rows: Float[np.ndarray, " videos"], durations_s: Float[np.ndarray, " videos"], first: Iterable[float] = ()
) -> float | None:
    """The seconds a row that two thirds of the videos fit: a usual number, else the median; ``None`` if there is none.

    >>> common_clock(np.array([104.0, 157.0, 62.0]), np.array([66.7, 100.5, 40.1]))
    0.64
    >>> common_clock(np.array([502.0, 751.0, 298.0]), np.array([66.9, 100.2, 39.8])).__round__(4)
    0.1333
    """
    known = ~np.isnan(durations_s)
    rows, durations_s = rows[known], durations_s[known]
    middle = float(np.median(durations_s / rows))
    near: Sequence[float] = sorted(USUAL_CLOCKS, key=lambda clock: abs(np.log(clock / middle)))[:3]
    for clock in (*first, *near, middle):
        if fits(rows, durations_s, clock).mean() >= _MOST:
            return clock
    return None
