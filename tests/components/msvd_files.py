"""A small MSVD under the file names that circulate: lists, captions, frames, token states, variants."""

import datetime
import zlib
from pathlib import Path

import numpy as np

from vmlkit.components.variants.rows import SentenceVariant, VariantWriter

DIM = 8
#: frames of each video: some more than there is room for, some fewer
FRAMES = {
    "train": {"vid1_0_9": 9, "-4wsuPCjDBc_5_15": 30, "vid3_1_4": 3}, "val": {"vid4_0_12": 12, "vid5_3_5": 2},
    "test": {"vid6_0_40": 40, "vid7_2_8": 6, "vid8_0_5": 5},
}  # fmt: skip
SUBJECTS = ("a man", "two dogs", "the woman", "a small child")
VERBS = ("opens a box", "runs away", "plays the piano", "cuts an onion")


def captions_of(video: str) -> list[str]:
    start = len(video)
    return [f"{SUBJECTS[(start + i) % 4]} {VERBS[(start * 3 + i) % 4]} near {video[:4]}" for i in range(2 + start % 2)]


def write_msvd(folder: Path, *, variants: tuple[str, ...] = ("train", "val", "test")) -> dict[str, Path]:
    """The folder of annotations, ``frames``, ``tokens`` and ``variants.jsonl``; the last for some of the lists."""
    rng = np.random.default_rng(0)
    for name in ("annotations", "frames", "tokens"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines, every = ["# id caption"], {}
    for split, videos in FRAMES.items():
        (folder / "annotations" / f"{split}_list.txt").write_text("\n".join(videos) + "\n")
        for video, count in videos.items():
            np.save(folder / "frames" / f"{video}.npy", rng.normal(size=(count, DIM)).astype(np.float32))
            lines += [f"{video} {caption}" for caption in captions_of(video)]
            every[video] = split
    (folder / "annotations" / "AllVideoDescriptions.txt").write_text("\n".join(lines) + "\n")

    def tokens(name: str, sentence: str) -> None:
        states = np.stack([np.random.default_rng(zlib.crc32(w.encode())).normal(size=DIM) for w in sentence.split()])
        rows = np.concatenate((np.ones((1, DIM)), states, np.full((1, DIM), 0.5)))
        np.savez(folder / "tokens" / f"{name}.npz", last_hidden_state=rows.astype(np.float32))

    written: set[str] = set()
    with VariantWriter(folder / "variants.jsonl") as writer:
        for video, split in every.items():
            for number, caption in enumerate(captions_of(video)):
                texts: dict[str, str | None] = {
                    "positive": f"well, {caption}",
                    "changed_verb": f"{caption[:6]} sleeps",
                    "changed_subject": None,
                }
                if number == 0:
                    texts["changed_subject"] = f"nobody {caption}"
                tokens(f"{video}_{number}", caption)
                for component, text in texts.items():
                    if text is not None:
                        tokens(f"{video}_{number}.{component}", text)
                if split in variants and caption not in written:
                    written.add(caption)
                    writer.append(
                        [
                            SentenceVariant(
                                sentence=caption, component=component, text=text, generator="rules", model="test",
                                date=datetime.date.today().isoformat(),
                            )
                            for component, text in texts.items()
                        ]
                    )  # fmt: skip
    return {name: folder / name for name in ("annotations", "frames", "tokens", "variants.jsonl")}


def msvd_options(folder: Path) -> list[str]:
    """The options of ``vmlkit train p4-xclip --data msvd`` for the files in a folder, at a tiny size."""
    settings = {
        "data.text": folder / "tokens", "data.variants": folder / "variants.jsonl", "model.host.width": DIM,
        "model.host.heads": 2,
    }  # fmt: skip
    where = ["--annotations", str(folder / "annotations"), "--features", str(folder / "frames")]
    return [*where, *(part for key, value in settings.items() for part in ("--set", f"{key}={value}"))]
