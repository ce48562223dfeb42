"""The layouts in which visual features circulate: those that are read, and those for which a sentence says what to do.

:func:`vmlkit.data.features.open_features` opens a path by the first layout that fits.
"""

import os
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from vmlkit.data.array_files import SUFFIXES, Format, format_of
from vmlkit.data.feature_files import FeatureStore, FileFeatures, FolderFeatures
from vmlkit.data.layouts import Layout, recognise
from vmlkit.data.packed import PackedFeatures, is_packed
from vmlkit.errors import DataError
from vmlkit.files.arrays import hdf5_names, open_hdf5
from vmlkit.files.reading import open_file

_TRUSTED = (
    "where you trust the file, load it in Python yourself and write numpy.savez('features.npz', **{video: array})"
)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Without a look at the disk, but for links: one that leads to itself is no folder."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


@dataclass(frozen=True)
class FeatureShape:
    """What a path of features looks like from outside."""

    path: Path
    dataset: str | None = None
    #: entries of a folder by suffix, lower case; folders under ""
    suffixes: Counter[str] = field(default_factory=Counter)
    folders: frozenset[str] = frozenset()

    @classmethod
    def of(cls, path: Path, dataset: str | None = None) -> "FeatureShape":
        """The shape of a file or folder."""
        if not path.is_dir():
            return cls(path, dataset)
        with os.scandir(path) as entries:
            kinds = [(entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith(".")]
        counts = Counter(os.path.splitext(name)[1].lower() for name, folder in kinds if not folder)
        return cls(path, dataset, counts, frozenset(name for name, folder in kinds if folder))

    @cached_property
    def format(self) -> Format | None:
        """The format of a file of arrays."""
        return format_of(self.path) if self.path.is_file() else None

    @cached_property
    def head(self) -> bytes:
        """The first bytes of a file; none of a folder."""
        if not self.path.is_file():
            return b""
        with open_file(self.path) as file:
            return file.read(512)

    @cached_property
    def top(self) -> frozenset[str]:
        """The names at the top of an HDF5 file."""
        if self.format != "HDF5":
            return frozenset()
        with open_hdf5(self.path) as file:
            return frozenset(hdf5_names(file, self.path))

    def mostly(self, *suffixes: str) -> bool:
        """Whether a folder holds such files and no arrays."""
        arrays = any(self.suffixes[suffix] for suffix in SUFFIXES)
        return not arrays and any(self.suffixes[suffix] for suffix in suffixes)


def _file(shape: FeatureShape) -> AbstractContextManager[FeatureStore]:
    return FileFeatures(shape.path, shape.dataset)


def _folder(shape: FeatureShape) -> AbstractContextManager[FeatureStore]:
    return nullcontext(FolderFeatures(shape.path, shape.dataset))


#: groups of the file in which LGI keeps the labels of its queries
_LGI_LABELS = {"start_pos", "end_pos", "att_mask"}

#: in the order in which they are tried
FEATURES: tuple[Layout[FeatureShape], ...] = (
    Layout(
        name="labels of LGI (groups start_pos, end_pos and att_mask by query)",
        test=lambda s: s.top >= _LGI_LABELS,
        remedy="give the folder of its features instead, such as features/i3d_finetuned with one .npy per video",
    ),
    Layout(
        name="one file of all videos, under the name of each split",
        test=lambda s: bool(s.top) and s.top <= {"train", "val", "valid", "validation", "test"},
        remedy="write the groups of the videos at the top of the file, without the splits above them",
    ),
    Layout(
        name="features packed by vmlkit",
        test=lambda s: s.format == "safetensors" and is_packed(s.path),
        read=lambda s: nullcontext(PackedFeatures(s.path)),
    ),
    Layout(
        name="one file of all videos",
        test=lambda s: s.format in ("HDF5", "npz", "safetensors", "torch"),
        read=_file,
    ),
    Layout(
        name="one array without the ids of videos",
        test=lambda s: s.format == "npy",
        remedy="save arrays under the ids, numpy.savez('features.npz', **{video: array}); the .npy of objects of "
        "W-TALC, CO2-Net and P3 is read by the action sources alone",
    ),
    Layout(name="a pickle, which runs code when it is opened", test=lambda s: s.format == "pickle", remedy=_TRUSTED),
    Layout(
        name="a folder of pickles, which run code when they are opened",
        test=lambda s: s.mostly(".pkl", ".pickle", ".p"),
        remedy=_TRUSTED,
    ),
    Layout(
        name="a folder with a file per video",
        test=lambda s: any(s.suffixes[suffix] for suffix in SUFFIXES),
        read=_folder,
    ),
    Layout(
        name="an LMDB environment, as HERO and TVR's extractors write",
        test=lambda s: s.mostly(".mdb") or s.path.suffix == ".mdb",
        remedy="read it with the package lmdb and write numpy.savez('features.npz', **{video: array})",
    ),
    Layout(
        name="two streams in the folders rgb and flow",
        test=lambda s: s.folders >= {"rgb", "flow"},
        remedy="give one of the two, or the folder itself to an action source, which joins them",
    ),
    Layout(
        name="several kinds of features in a folder each",
        test=lambda s: sum("feat" in name or name in ("clip", "slowfast", "i3d") for name in s.folders) > 1,
        remedy="give one of the folders; sources of the DETR family join several",
    ),
    Layout(
        name="a folder for each split",
        test=lambda s: bool(s.folders & {"train", "test", "val", "validation"}),
        remedy="put the files of all splits into one folder, and give that",
    ),
    Layout(
        name="a folder of videos",
        test=lambda s: s.mostly(".mp4", ".avi", ".mkv", ".webm", ".mov"),
        remedy="extract features first: one .npy per video, rows in time",
    ),
    Layout(
        name="a folder of tables of text",
        test=lambda s: s.mostly(".csv", ".txt"),
        remedy="load each with numpy.loadtxt and save it as ID.npy",
    ),
    Layout(
        name="MATLAB files",
        test=lambda s: s.mostly(".mat") or s.head.startswith(b"MATLAB 5.0"),
        remedy="load each with scipy.io.loadmat and save the array as ID.npy",
    ),
    Layout(
        name="a packed archive",
        test=lambda s: (
            s.head[:2] in (b"PK", b"\x1f\x8b") or s.head[257:262] == b"ustar" or s.head[:6] == b"7z\xbc\xaf'\x1c"
        ),
        remedy="unpack it, and give the folder or the file that comes out",
    ),
    Layout(name="a Parquet table", test=lambda s: s.head[:4] == b"PAR1", remedy="write one array per video: ID.npy"),
    Layout(
        name="an empty file or folder",
        test=lambda s: not s.head and not s.folders and not s.suffixes,
        remedy="check the path, and that the download is complete",
    ),
)


def layout_of(path: Path, dataset: str | None = None) -> tuple[Layout[FeatureShape] | None, FeatureShape]:
    """The layout of a path of features, and what was looked at.

    Raises:
        DataError: where there is nothing at the path, or an HDF5 file is cut off.
    """
    if not path.exists():
        raise DataError(path, "there is no such file or folder", "check the path of the features")
    shape = FeatureShape.of(path, dataset)
    return recognise(FEATURES, shape), shape


def open_layout(path: Path, dataset: str | None = None) -> AbstractContextManager[FeatureStore]:
    """Open the features at a path.

    Raises:
        DataError: for a layout that is not read, naming it and the conversion.
    """
    layout, shape = layout_of(path, dataset)
    if layout is None or layout.read is None:
        what = f"is {layout.name}" if layout else "is of no known layout of features"
        raise DataError(path, what, layout.remedy if layout else f"give a file or folder of {', '.join(SUFFIXES)}")
    opened: AbstractContextManager[FeatureStore] = layout.read(shape)
    return opened
