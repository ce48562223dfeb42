"""The door for files: everything is read through :mod:`reading <vmlkit.files.reading>` and the modules beside it.

* :mod:`vmlkit.files.writing`: files that appear whole or not at all;
* :mod:`vmlkit.files.reading`: bytes, text and JSON of regular files, within a memory budget;
* :mod:`vmlkit.files.arrays`: ``.npy``, ``.npz``, ``.safetensors``, HDF5 and the files of ``torch.save``;
* :mod:`vmlkit.files.tables`: parquet, CSV and SQLite;
* :mod:`vmlkit.files.records`: what a JSON value must look like.

No other module opens a file to read it (``tests/repository/test_door.py``).  torch is imported when it is needed.
"""

from vmlkit.files.reading import (
    file_digest,
    file_lines,
    inside,
    is_name,
    memory_budget,
    open_file,
    parse_json,
    parse_lines,
    read_bytes,
    read_json,
    read_text,
)
from vmlkit.files.writing import (
    LEFTOVERS,
    RESULTS,
    atomic_path,
    default_cache_dir,
    files_in,
    homes_of,
    plain,
    shipped,
    sync_directory,
    write_bytes,
    write_json,
    write_npz,
    write_parquet,
    write_text,
)

__all__ = [
    "LEFTOVERS",
    "RESULTS",
    "atomic_path",
    "default_cache_dir",
    "file_digest",
    "file_lines",
    "files_in",
    "homes_of",
    "inside",
    "is_name",
    "memory_budget",
    "open_file",
    "parse_json",
    "parse_lines",
    "plain",
    "read_bytes",
    "read_json",
    "read_text",
    "shipped",
    "sync_directory",
    "write_bytes",
    "write_json",
    "write_npz",
    "write_parquet",
    "write_text",
]
