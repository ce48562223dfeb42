"""``vmlkit data pack`` and ``vmlkit data convert``: files of features and annotations, written in another form."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmlkit.actions.sources import ActionData
from vmlkit.data.annotations.foreign import Row
from vmlkit.data.annotations.layouts import layout_of, rows_of
from vmlkit.data.feature_files import ListedFeatures
from vmlkit.data.features import meant, resample_clips
from vmlkit.data.layouts import near_names
from vmlkit.data.packed import PackedFeatures, pack_features
from vmlkit.detr.settings import DetrData
from vmlkit.errors import ConfigError, DataError
from vmlkit.experiments.data_tables import open_source, settings_of, tables_of
from vmlkit.experiments.passports import passports_of
from vmlkit.files import write_text
from vmlkit.video.passport import write_passport


def pack_source(
    source: str,
    out: Path,
    given: Mapping[str, Any],
    *,
    size: str = "paper",
    keep_rows: bool = False,
    dtype: str = "float16",
    near: bool = False,
    progress: bool = False,
) -> list[str]:
    """Pack the features of all annotated videos of a source into one file.

    Args:
        source: one of :data:`vmlkit.methods.DATA` with real features.
        out: the file to write.
        given: settings by dotted key; ``data.features`` names the features, ``data.clips`` overrides the preset's.
        size: of the preset whose number of clips counts.
        keep_rows: do not resample; sources of actions and of the DETR family always keep their rows.
        dtype: ``"float16"`` or ``"float32"``.
        near: write features under the id of the annotations where their own name differs in a usual way only.

    Returns:
        What was written and what was not there, one line each.

    Raises:
        ConfigError: for a source without features, or no name of them.
        DataError: for annotations or features that cannot be used.
    """
    _, _, config = settings_of(source, size, given)
    if getattr(config, "features", None) is None:
        raise ConfigError(f"nothing to pack for '{source}': name its features (--features PATH)")
    if isinstance(config, DetrData) and len(config.kinds) > 1:
        kinds = ", ".join(config.kinds)
        raise ConfigError(f"several kinds of features ({kinds}) are joined when they are loaded, each with its own "
                          f"norm: pack one, --set data.kinds='[\"{config.kinds[-1]}\"]'")  # fmt: skip
    tables = tables_of(config)
    if tables is None:
        raise ConfigError(f"the data '{source}' have no files of annotations to pack features for")
    clips = None if keep_rows or isinstance(config, (ActionData, DetrData)) else config.clips
    resample = None if clips is None else (lambda rows: resample_clips(rows, clips))
    with open_source(config) as store:
        assert store is not None
        if isinstance(store, PackedFeatures) and store.clips is not None:
            raise DataError(store, "is packed and resampled already", "name the features that it was made from")
        videos = list(dict.fromkeys(tables.videos["video"]))
        missing = [video for video in videos if video not in store]
        found = near_names(missing, store.names()) if near and isinstance(store, ListedFeatures) else None
        names = found.pairs if found else {}
        there = [video for video in videos if video in store or video in names]
        if not there:
            raise DataError(store, f"has none of the {len(videos)} videos", meant(store, missing) or "check the names")
        made = pack_features(
            store, there, out, resample=resample, clips=clips, dtype=dtype, names=names, progress=progress
        )
    passports = passports_of(config)
    if (passport := passports.get(".") or passports.get(getattr(config, "kinds", ("",))[-1])) is not None:
        write_passport(out, passport)
    shape = "their own rows" if clips is None else f"{clips} clips"
    size_mb = out.stat().st_size / 1e6
    lines = [f"{out}: {len(there)} videos with {shape}, {made.frames.shape[-1]} dimensions, {dtype}, {size_mb:.1f} MB"]
    lines += [f"{len(names)} of them under another name ({found.rule})"] if found else []
    gone = [video for video in missing if video not in names]
    return lines + ([f"{len(gone)} of {len(videos)} videos have no features, such as {gone[0]}"] if gone else [])


def convert_annotations(path: Path, out: Path) -> str:
    """Write annotations of any layout with a reader as the JSON list of CNM or as JSON lines of Moment-DETR.

    Args:
        path: the annotations.
        out: ends in ``.json`` (one window a sentence) or ``.jsonl``, also with ``.gz``.

    Raises:
        ConfigError: for another ending.
        DataError: for an unknown layout, a record that does not fit, or several windows in a ``.json``.
    """
    ending = out.name.removesuffix(".gz").rpartition(".")[2]
    if ending not in ("json", "jsonl"):
        raise ConfigError(f"--out must end in .json (CNM) or .jsonl (Moment-DETR), not {out.name}")
    layout, _ = layout_of(path)
    rows = rows_of(path)
    write_text(out, _cnm(path, rows) if ending == "json" else _moment_detr(rows))
    return f"{out}: {len(rows)} sentences, read as {layout.name if layout else 'annotations'}"


def _cnm(path: Path, rows: list[Row]) -> str:
    several = next((row for row in rows if len(row.windows) != 1), None)
    if several is not None:
        what = f"{several.sentence!r} of {several.video_id} has {len(several.windows)} windows"
        raise DataError(path, what, "write .jsonl, whose queries take several")
    return json.dumps([[row.video_id, row.duration, list(row.windows[0]), row.sentence] for row in rows]) + "\n"


def _moment_detr(rows: list[Row]) -> str:
    # ids of the file where every query has its own
    counts = Counter(row.qid for row in rows)
    own = None not in counts and max(counts.values()) == 1
    lines = [
        {
            "qid": row.qid if own else number,
            "query": row.sentence,
            "duration": row.duration,
            "vid": row.video_id,
            "relevant_windows": [list(window) for window in row.windows],
        }
        for number, row in enumerate(rows)
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
