"""Downloads from a server that breaks off, sends wrong bytes, redirects, refuses, or does not continue."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tests.fetching.file_server import FileServer
from tests.fetching.published import Recorded
from tinysegrank.errors import ConfigError, DownloadError, OutputError
from tinysegrank.experiment import Silent
from tinysegrank.fetching import SOURCES, Source, check_archive, download

CHUNK = 1 << 18  # a broken connection loses what is less
CONTENT = np.random.default_rng(0).bytes(12 * CHUNK)


@pytest.fixture
def source(server: FileServer) -> Source:
    server.files["/data/file.bin"] = CONTENT
    return Source(f"{server.address}/data/file.bin", f"sha1:{hashlib.sha1(CONTENT).hexdigest()}")


def fetched(source: Source, folder: Path, **options: object) -> bytes:
    path = download(source, folder, progress=options.pop("progress", Silent()), **options)
    assert [each.name for each in folder.iterdir()] == [path.name] == ["file.bin"]
    return path.read_bytes()


def test_a_file_and_then_nothing(source: Source, server: FileServer, tmp_path: Path) -> None:
    assert fetched(source, tmp_path / "new" / "folder") == CONTENT
    assert fetched(source, tmp_path / "new" / "folder") == CONTENT
    assert server.asked == [("/data/file.bin", "")]


def test_a_connection_that_breaks_is_continued(source: Source, server: FileServer, tmp_path: Path) -> None:
    server.faults = ["break", "break"]
    assert fetched(source, tmp_path) == CONTENT
    assert server.asked == [("/data/file.bin", wanted) for wanted in ("", f"bytes={6 * CHUNK}-", f"bytes={9 * CHUNK}-")]


def test_an_interrupted_download_is_continued_by_the_next_call(source, server, tmp_path) -> None:
    server.faults = ["break"] * 3
    with pytest.raises(
        DownloadError, match=r"/data/file\.bin: cannot be downloaded \(.*repeat the command to continue"
    ):
        download(source, tmp_path, progress=Silent())
    assert (tmp_path / "file.bin.part").read_bytes() == CONTENT[: 10 * CHUNK]
    assert not (tmp_path / "file.bin").exists()
    server.asked.clear()
    assert fetched(source, tmp_path) == CONTENT
    assert server.asked == [("/data/file.bin", f"bytes={10 * CHUNK}-")]


@pytest.mark.parametrize("faults", [["corrupt"], ["break", "corrupt"], ["corrupt", "break", ""]])
def test_wrong_bytes_are_thrown_away(source: Source, server: FileServer, tmp_path: Path, faults: list[str]) -> None:
    server.faults = faults
    assert fetched(source, tmp_path) == CONTENT


def test_a_file_that_stays_wrong_is_refused(source: Source, server: FileServer, tmp_path: Path) -> None:
    server.files["/data/file.bin"] = b"another edition"
    digest = hashlib.sha1(b"another edition").hexdigest()
    with pytest.raises(DownloadError, match=rf"is not the published file \(.*{digest}.*--mirror"):
        download(source, tmp_path, progress=Silent())
    assert not list(tmp_path.iterdir())


def test_a_server_that_does_not_continue_starts_again(source: Source, server: FileServer, tmp_path: Path) -> None:
    server.faults = ["break", "whole"]
    assert fetched(source, tmp_path) == CONTENT


@pytest.mark.parametrize("held", [CONTENT, CONTENT + b"more", bytes(len(CONTENT)), b"other bytes"])
def test_a_part_that_is_whole_or_of_another_file(source, tmp_path: Path, held: bytes) -> None:
    (tmp_path / "file.bin.part").write_bytes(held)
    assert fetched(source, tmp_path) == CONTENT


def test_redirects_are_followed(source: Source, server: FileServer, tmp_path: Path) -> None:
    server.moved = {"/old/file.bin": "/older/file.bin", "/older/file.bin": f"{server.address}/data/file.bin"}
    server.faults = ["break"]
    assert fetched(source._replace(address=f"{server.address}/old/file.bin"), tmp_path) == CONTENT
    server.moved = {"/loop": "/loop"}
    with pytest.raises(DownloadError, match=r"/loop: cannot be downloaded \(Exceeded 30 redirects"):
        download(source._replace(address=f"{server.address}/loop"), tmp_path, progress=Silent())


@pytest.mark.parametrize("address", ["{}/mirror", "{}/mirror/"])
def test_a_mirror(source: Source, server: FileServer, tmp_path: Path, address: str) -> None:
    server.files["/mirror/file.bin"] = server.files.pop("/data/file.bin")
    assert fetched(source, tmp_path, mirror=address.format(server.address)) == CONTENT
    for wrong in ("ftp://host/", "folder", "file:///etc/"):
        with pytest.raises(ConfigError, match="give an address that starts with"):
            download(source, tmp_path, progress=Silent(), mirror=wrong)


def test_refusals_name_the_address(source: Source, server: FileServer, tmp_path: Path) -> None:
    server.faults = [404, 404, 404]
    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:\d+/data/file\.bin: cannot be downloaded \(404"):
        download(source, tmp_path, progress=Silent())
    server.faults = [500]
    assert fetched(source, tmp_path) == CONTENT
    with pytest.raises(DownloadError, match=r"cannot be downloaded \([^()]*refused\)"):  # nobody listens
        download(source._replace(address="http://127.0.0.1:1/x.bin"), tmp_path, progress=Silent())


def test_a_file_of_the_user_is_not_replaced(source: Source, server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_text("precious")
    with pytest.raises(OutputError, match=r"file\.bin: is not the published file; pass --force"):
        download(source, tmp_path, progress=Silent())
    assert (tmp_path / "file.bin").read_text() == "precious" and not server.asked
    assert fetched(source, tmp_path, replace=True) == CONTENT
    (tmp_path / "a file").touch()
    with pytest.raises(OutputError, match="a file: cannot be written"):
        download(source, tmp_path / "a file", progress=Silent())


def test_progress_adds_up_to_the_megabytes(source: Source, server: FileServer, tmp_path: Path) -> None:
    server.faults, progress = ["break"], Recorded()
    assert fetched(source, tmp_path, progress=progress) == CONTENT
    assert progress.counts == [["file.bin, MB", 3, 1], ["file.bin, MB", 3, 3]]
    assert progress.said == ["checking file.bin against its published checksum"]


def test_the_table(tmp_path: Path) -> None:
    lengths = {"md5": 32, "sha1": 40, "sha256": 64}
    for source in SOURCES.values():
        kind, _, digest = source.checksum.partition(":")
        assert len(bytes.fromhex(digest)) * 2 == lengths[kind]
        assert urllib.request.Request(source.address).host and source.file
    assert SOURCES["torchvision-alexnet"].checksum.startswith("sha256:7be5be79")  # as its name says
    (tmp_path / "a").write_bytes(b"abc")
    right = Source("http://host/a", "md5:900150983cd24fb0d6963f7d28e17f72")  # RFC 1321
    assert check_archive(right, tmp_path / "a") == f"{tmp_path}/a: md5:900150983cd24fb0d6963f7d28e17f72, as published"
    assert "not the published file, which is md5:0" in check_archive(Source("", "md5:0"), tmp_path / "a")
    with pytest.raises(ConfigError, match="nowhere: cannot be read"):
        check_archive(right, tmp_path / "nowhere")
