"""The files that can be fetched, their published checksums, and downloads that continue after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

from tinysegrank.errors import ConfigError, DownloadError, OutputError
from tinysegrank.files import reading, writing
from tinysegrank.outputs import check_folder
from tinysegrank.stamps import file_digest

_CHUNK = 1 << 18
MEGABYTE = 10**6
_PAUSES = (1, 2)  # seconds before trying again
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
        kind = self.checksum.partition(":")[0]
        return f"{kind}:{file_digest(path, kind)}"


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
    import requests

    if mirror and not mirror.startswith(("http://", "https://")):
        raise ConfigError(f"mirror={mirror}: give an address that starts with http:// or https://")
    path = folder / source.file
    if path.exists():
        with progress.count(f"checksum of {path.name}", 1):
            right = path.is_file() and source.digest(path) == source.checksum
        if right:
            return path
        if not replace:
            raise OutputError(f"{path}: is not the published file; pass --force to replace it, or choose another --to")
    check_folder(folder, named=folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    address, part = f"{mirror.rstrip('/')}/{source.file}" if mirror else source.address, folder / f"{source.file}.part"
    for seconds in (*_PAUSES, 0):
        try:
            _complete(address, part, progress)
        except requests.RequestException as error:
            reason = getattr(error.args[0], "reason", error) if error.args else error  # urllib3's, without its wrapping
            said = " ".join(str(reason).partition("): ")[2].split() or str(error).split())[:160]
            failure = DownloadError(
                f"{address}: cannot be downloaded ({said}); repeat the command to continue, or give a --mirror"
            )
        else:
            progress.say(f"checking {path.name} against its published checksum")
            found = source.digest(part)
            with writing(path):
                if found == source.checksum:
                    return part.replace(path)
                part.unlink()
            failure = DownloadError(
                f"{address}: is not the published file (it has {found}, not {source.checksum}); give a --mirror that"
                " has it"
            )
        time.sleep(seconds)
    raise failure


def _complete(address: str, part: Path, progress: Counter) -> None:
    """Download the bytes of a file that `part` lacks, or all if the server doesn't continue."""
    import requests

    done = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    with requests.get(address, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        place = response.headers.get("Content-Range", "")
        if done and response.status_code == 416:  # no byte is left, or the part is of another file
            if place != f"bytes */{done}":
                part.unlink()
                _complete(address, part, progress)
            return
        response.raise_for_status()
        if response.status_code != 206 or not place.startswith(f"bytes {done}-"):
            done = 0
        total = done + int(response.headers.get("Content-Length", 0))
        with writing(part):
            stream = part.open("ab" if done else "wb")
        with stream, progress.count(f"{part.stem}, MB", total // MEGABYTE) as advance:
            advance(done // MEGABYTE)
            for chunk in response.iter_content(_CHUNK):  # a broken connection is an OSError too, not of the part
                with writing(part):
                    stream.write(chunk)
                advance((done + len(chunk)) // MEGABYTE - done // MEGABYTE)
                done += len(chunk)
