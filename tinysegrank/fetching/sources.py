"""The files that can be fetched, with their addresses and published checksums."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tinysegrank.errors import ConfigError
from tinysegrank.files import reading


class Source(NamedTuple):
    """A published file.

    Attributes:
        address: where its publisher keeps it.
        checksum: "md5:", "sha1:" or "sha256:", and the digest. MD5 and SHA-1 find damage, not forgery.
        preset: for weights, the preset that they fit; "" for data.
    """

    address: str
    checksum: str
    preset: str = ""

    @property
    def file(self) -> str:
        """The file's name."""
        return self.address.rpartition("/")[2]

    def digest(self, path: Path) -> str:
        """Return a file's digest by the algorithm of `checksum`, written the same way, such as "md5:0f3a..."."""
        import pooch

        kind = self.checksum.partition(":")[0]
        return f"{kind}:{pooch.file_hash(str(path), alg=kind)}"

    def is_file(self, path: Path) -> bool:
        """Return whether a file on disk is the published one."""
        return path.is_file() and self.digest(path) == self.checksum


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
