"""The lock by which only one process at a time writes to a run folder."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from traceback import clear_frames
from types import TracebackType

from filelock import FileLock, Timeout

from tinysegrank.errors import CheckpointError, ConfigError, brief
from tinysegrank.files import read_json, reading, remove_temporary, write_json, writing

_LOCK, _OWNER = ".lock", ".lock-owner.json"
_GRACE = 2.0  # seconds in which worker processes end after their command was killed


class FolderLock:
    """The lock of a run folder, for a `with` block: taken by the first `hold`, released at the end of the block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / _LOCK, timeout=0, thread_local=False)

    def hold(self) -> None:
        """Take the lock, unless this object already has it; create the folder if it is missing.

        If the last owner was killed, give its worker processes 2 s to end, and remove their temporary files.

        Raises:
            ConfigError: another process has it; the message names its process ID and host.
            OutputError: the folder cannot be written.
        """
        if self._lock.is_locked:
            return
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout as error:
                raise ConfigError(
                    f"{self._folder}: {self._owner()} is at work on this run; wait for it, or end it"
                ) from error
        if (self._folder / _OWNER).exists():  # the last owner was killed: its workers may still be writing
            time.sleep(_GRACE)
            remove_temporary(self._folder)
        write_json(self._folder / _OWNER, {"process": os.getpid(), "host": socket.gethostname()})

    def _owner(self) -> str:
        with suppress(CheckpointError), reading(self._folder / _OWNER):
            owner = read_json(self._folder / _OWNER)
            return f"process {brief(owner['process'], 20)} on {brief(owner['host'], 60)}"
        return "another process"  # it took the lock a moment ago

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, kind: object, error: object, traceback: TracebackType | None) -> None:
        clear_frames(traceback)  # closes what they iterate over, which ends worker processes that would write on
        if self._lock.is_locked:
            if error is not None:
                with suppress(OSError):  # else the next command does it
                    remove_temporary(self._folder)  # of worker processes that were ended
            (self._folder / _OWNER).unlink(missing_ok=True)
            self._lock.release()
