"""A lock that one process holds on a folder, and that goes with it however it ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vmlkit.errors import DataError


@contextlib.contextmanager
def alone(folder: str | Path) -> Iterator[None]:
    """Inside the block no other process is inside such a block for the same folder; it need not exist yet.

    The lock is the operating system's, on the hidden file ``.NAME.lock`` beside the folder.  The file is removed at the
    end, and so are folders above it that were made for it and hold nothing.  A killed process leaves the file and not
    the lock, so there are no stale ones.  Where nothing can be written, or the system has no such locks, nothing is
    locked.

    Raises:
        DataError: where another process is inside.
    """
    folder = Path(os.path.realpath(folder))
    made = [parent for parent in folder.parents if not parent.exists()]
    handle = _taken(folder)
    try:
        yield
    finally:
        if handle is not None:
            try:
                _path(folder).unlink()
            except OSError:  # a folder in which nothing can be written any more
                pass
            finally:  # also where somebody interrupts us here
                os.close(handle)
        for parent in made:
            with contextlib.suppress(OSError):  # it holds something, or another process has removed it
                parent.rmdir()


def _path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.lock")


def _taken(folder: Path) -> int | None:
    try:
        import fcntl
    except ImportError:  # where there are no such locks
        return None
    while True:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(_path(folder), os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError:
            if folder.parent.exists():  # the lock is a link that leads nowhere
                return None
            continue  # another process has removed the folder above, which it had made
        except OSError:  # a folder in which nothing can be written: whoever writes says so
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            what = "is being written by another process"
            raise DataError(folder, what, "wait until it has ended, or choose another run directory") from error
        except OSError:  # a file system without locks
            os.close(handle)
            return None
        # who held it may have removed the file between our opening and locking it
        with contextlib.suppress(FileNotFoundError):
            if os.stat(_path(folder)).st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)
