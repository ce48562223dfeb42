"""A field for a sentence of one's own, and what a model answers over the film strip of a video."""

from collections.abc import Callable, Sequence
from typing import Any

import traitlets

from vmlkit.errors import ConfigError, DataError
from vmlkit.viz.kernel_widget import KernelWidget
from vmlkit.viz.live import module
from vmlkit.viz.style import ROLES, new_figure, png_bytes, styled


class SentenceField(KernelWidget):
    """Type a sentence, read its answers; without a kernel the last ones stand, and the field is disabled.

    Args:
        videos: each with ``id``, ``duration`` (seconds), ``strip`` (address of a picture, or None) and ``sentences``.
        answer: gives ``items`` (``start`` and ``end`` in seconds, ``score``, ``iou`` or None), ``detr`` (whether scores
            are confidences, else NLLs), ``unknown`` words and ``truths``, of the place of a video and a sentence; a
            :class:`~vmlkit.errors.DataError` is said in the picture.
        who: the name of the model.
    """

    _esm = module("stage", "sentence")
    kept = ("videos", "who", "answer", "video")
    title = "Your own sentence"

    videos = traitlets.List(traitlets.Dict(), help="what can be asked about").tag(sync=True)
    who = traitlets.Unicode("", help="who answers").tag(sync=True)
    video = traitlets.Int(0, help="the place of the video shown").tag(sync=True)
    wanted = traitlets.Unicode("", help="the sentence that the hand asks").tag(sync=True)
    answer = traitlets.Dict(help="what was asked last, and what came of it").tag(sync=True)

    def __init__(
        self, videos: Sequence[dict[str, Any]], answer: Callable[[int, str], dict[str, Any]], who: str, **arguments: Any
    ) -> None:
        self._answers = answer
        super().__init__(videos=list(videos), who=who, **arguments)
        self.ask(self.videos[0]["sentences"][0])

    def ask(self, sentence: str, video: int | None = None) -> None:
        """Ask as the hand would; what cannot be answered is said in the picture.

        Args:
            video: its place; the one shown unless given.
        """
        at = self.video if video is None else video
        found: dict[str, Any] = {"items": [], "detr": False, "unknown": [], "truths": []}
        said = ""
        try:
            found = self._answers(at, sentence)
        except (ConfigError, DataError) as error:
            said = str(error)
        with self.hold_sync():
            self.video, self.wanted = at, ""
            self.answer = {**found, "sentence": sentence, "video": at, "said": said}

    @traitlets.observe("wanted")
    def _asked(self, change: Any) -> None:
        if change["new"].strip():
            self.ask(change["new"])

    def __repr__(self) -> str:
        best = self.answer["items"][:1]
        where = f"{best[0]['start']:.1f} to {best[0]['end']:.1f} s" if best else "nowhere"
        return f"SentenceField: {self.who}, “{self.answer['sentence']}”: {where}"

    def _picture(self) -> bytes:
        with styled():
            figure = new_figure(figsize=(8, 2), layout="constrained")
            ax = figure.add_subplot()
            for rank, item in enumerate(self.answer["items"]):
                color = ROLES["positive" if rank else "chosen"].color
                ax.barh(-rank, item["end"] - item["start"], 0.7, item["start"], color=color)
            for start, end in self.answer["truths"]:
                ax.axvspan(start, end, color=ROLES["truth"].color, alpha=0.16, linewidth=0)
            seconds = self.videos[self.answer["video"]]["duration"]
            ax.set(xlim=(0, seconds), yticks=[], xlabel="time (s)", title=f"“{self.answer['sentence']}”")
            return png_bytes(figure)
