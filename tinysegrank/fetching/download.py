"""The files that can be fetched, their published checksums, and downloads that continue after an interruption."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tinysegrank.errors import ConfigError, DownloadError, OutputError
from tinysegrank.files import reading, writing
from tinysegrank.outputs import check_folder

_CHUNK = 1 << 18
MEGABYTE = 10**6
_TRIES_AGAIN = 2
_TIMEOUT = 60  # seconds without a byte


class Source(NamedTuple):
    """A published file."""

    address: str  # where its publisher keeps it
    checksum: str  # "md5:", "sha1:" or "sha256:", and the digest; MD5 and SHA-1 find damage, not forgery
    preset: str = ""  # for weights, the preset that they fit

    @property
    def file(self) -> str:
        """The file's name."""
        return self.address.rpartition("/")[2]

    def digest(self, path: Path) -> str:
        """Return the digest of a file, in the form and by the algorithm of `checksum`, such as "md5:0f3a..."."""
        import pooch

        kind = self.checksum.partition(":")[0]
        return f"{kind}:{pooch.file_hash(str(path), alg=kind)}"


SOURCES = {
    "voc2012": Source(  # its MD5 is in torchvision.datasets.voc
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
        "md5:6cd6e144f989b92b3379bac3b3de84fd",
    ),
    "sbd": Source(  # its MD5 is in torchvision.datasets.sbd
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
        "md5:82b4d87ceb2ed10f6038a1cba92111cb",
    ),
    "alexnet": Source(  # its SHA-1 is in Caffe's models/bvlc_alexnet/readme.md
        "http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
        "sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377",
        "alexnet",
    ),
    "caffenet": Source(  # its SHA-1 is in Caffe's models/bvlc_reference_caffenet/readme.md
        "http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",
        "sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
        "caffenet",
    ),
    "torchvision-alexnet": Source(  # its first eight digits are in the file's name, as torch.hub checks
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "sha256:7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "torchvision",
    ),
}


def check_archive(source: Source, path: Path) -> str:
    """Return a line that says whether a file on disk is the published one, with its digest.

    Raises:
        ConfigError: the file cannot be read.
    """
    with reading(path, ConfigError):
        digest = source.digest(path)
    same = digest == source.checksum
    return f"{path}: {digest}, " + ("as published" if same else f"not the published file, which is {source.checksum}")


class Counter(Protocol):
    """The methods of a `Progress` that this package calls."""

    def say(self, text: str) -> None:
        """Report one line of text."""

    def count(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Return a context manager around work of `total` units; it yields a function that adds finished units."""


def download(source: Source, folder: Path, *, progress: Counter, mirror: str = "", replace: bool = False) -> Path:
    """Download a published file into a folder, and return its path; keep a file that is already there and right.

    The bytes that have arrived are in FILE.part, from which the next call continues. `mirror` is the address of a
    folder to download from, with a file of the same name and checksum. With `replace`, a file with another checksum is
    replaced.

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
    if path.exists() and not replace:
        with progress.count(f"checksum of {path.name}", 1):
            right = path.is_file() and source.digest(path) == source.checksum
        if right:
            return path
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
    """A downloader for pooch that continues a download from the bytes in the file `part`."""

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
        self._progress.say(f"checking {self._part.stem} against its published checksum")
        with writing(output_file):
            self._part.replace(output_file)
        return None

    def _copy(self, response: Any, done: int) -> None:
        """Write a response's content to the part: after its `done` bytes, or over it if `done` is 0."""
        total = done + int(response.headers.get("Content-Length", 0))
        with writing(self._part):
            stream = self._part.open("ab" if done else "wb")
        with stream, self._progress.count(f"{self._part.stem}, MB", total // MEGABYTE) as advance:
            advance(done // MEGABYTE)
            for chunk in response.iter_content(_CHUNK):  # a broken connection is an OSError too, not of the part
                with writing(self._part):
                    stream.write(chunk)
                advance((done + len(chunk)) // MEGABYTE - done // MEGABYTE)
                done += len(chunk)
