"""Download a file: an interrupted download is continued, and the file appears only when its checksum is right."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from tinysegrank.errors import ConfigError, DownloadError, OutputError
from tinysegrank.fetching.sources import Source
from tinysegrank.files import writing
from tinysegrank.outputs import check_folder

_CHUNK = 1 << 18
_MEGABYTE = 10**6
_TRIES_AGAIN = 2
_TIMEOUT = 60  # seconds without a byte


class Counter(Protocol):
    """The method of a `Progress` that `download` calls."""

    def count(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Return a context manager around work of `total` units; it yields a function that adds finished units."""


def download(source: Source, folder: Path, *, progress: Counter, mirror: str = "", replace: bool = False) -> Path:
    """Download a published file into a folder, and return its path; a file that is there and right is kept.

    What has come so far is in FILE.part, so that the next call continues.

    Args:
        source: the file.
        folder: made if missing.
        progress: where to report.
        mirror: address of a folder with a file of the same name, to take it from there; it must be the same file.
        replace: replace a file of that name with another checksum.

    Raises:
        DownloadError: the server cannot be reached or refuses, or the checksum is wrong.
        OutputError: the folder cannot be written, or holds another file of that name.
        ConfigError: the mirror is not an HTTP address.
    """
    import pooch
    import requests

    if mirror and not mirror.startswith(("http://", "https://")):
        raise ConfigError(f"mirror={mirror}: give an address that starts with http:// or https://")
    path = folder / source.file
    if path.exists() and not replace and not source.is_file(path):
        raise OutputError(f"{path}: is not the published file; pass --force to replace it, or choose another --to")
    check_folder(folder, named=folder)
    pooch.get_logger().setLevel(logging.WARNING)
    keeper = pooch.create(
        folder,
        base_url=mirror,
        registry={source.file: source.checksum},
        urls={} if mirror else {source.file: source.address},
        retry_if_failed=_TRIES_AGAIN,
    )
    address = keeper.get_url(source.file)
    try:
        keeper.fetch(source.file, downloader=_Resuming(path.with_name(f"{path.name}.part"), progress))
    except requests.RequestException as error:
        reason = getattr(error.args[0], "reason", error) if error.args else error  # urllib3's, without its wrapping
        said = " ".join(str(reason).partition("): ")[2].split() or str(error).split())[:160]
        raise DownloadError(
            f"{address}: cannot be downloaded ({said}); repeat the command to continue, or give a --mirror"
        ) from error
    except ValueError as error:  # the checksum, in pooch's words
        said = str(error).partition(". ")[0]
        raise DownloadError(f"{address}: is not the published file ({said}); give a --mirror that has it") from error
    return path


class _Resuming:
    """A downloader for pooch that continues from the bytes that are there."""

    def __init__(self, part: Path, progress: Counter) -> None:
        self._part, self._progress = part, progress

    def __call__(self, url: str, output_file: str, pooch: object) -> None:  # noqa: ARG002
        import requests

        start = self._part.stat().st_size if self._part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if start and response.status_code == 416:  # no byte is left, or the part is of another file
                if response.headers.get("Content-Range") != f"bytes */{start}":
                    self._part.unlink()
                    return self(url, output_file, None)
            else:
                response.raise_for_status()
                continues = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
                self._copy(response, start if response.status_code == 206 and continues else 0)
        with writing(output_file):
            self._part.replace(output_file)
        return None

    def _copy(self, response: Any, done: int) -> None:
        """Append a response's content to the part, of which `done` bytes are kept."""
        total = done + int(response.headers.get("Content-Length", 0))
        with writing(self._part):
            stream = self._part.open("ab" if done else "wb")
        with stream, self._progress.count(f"{self._part.stem}, MB", total // _MEGABYTE) as advance:
            advance(done // _MEGABYTE)
            for chunk in response.iter_content(_CHUNK):  # a broken connection is an OSError too, not of the part
                with writing(self._part):
                    stream.write(chunk)
                advance((done + len(chunk)) // _MEGABYTE - done // _MEGABYTE)
                done += len(chunk)
