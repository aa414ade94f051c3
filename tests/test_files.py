import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from tinysegrank.errors import CheckpointError, OutputError
from tinysegrank.files import atomic_write, read_about, read_arrays, read_json, write_arrays, write_json, write_text


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "first")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as stream:
        stream.write(b"second, half")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_link_stays_and_its_file_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "file.txt", tmp_path / "link.txt"
    link.symlink_to(Path("far") / "file.txt")
    for text in ("made through a link that led nowhere", "replaced"):
        write_text(link, text)
        assert link.is_symlink() and not target.is_symlink()
        assert target.read_text() == text
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "file.txt", "link.txt"]


def test_a_link_to_a_folder_that_is_missing_makes_the_folder(tmp_path):
    (tmp_path / "link").symlink_to("folder")
    write_text(tmp_path / "link" / "file.txt", "text")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "folder" / "file.txt").read_text() == "text"


def test_a_pipe_is_written_into_and_stays(tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_text(pipe, "through")
    reader.join(10)
    assert read == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
def test_a_full_device_is_an_error_and_stays(tmp_path):
    link = tmp_path / "full"
    link.symlink_to("/dev/full")  # a link, so that no mistake can harm the device
    with pytest.raises(OutputError, match=f"full: cannot be written: {os.strerror(errno.ENOSPC)}; free some space"):
        write_text(link, "anything")
    assert link.is_symlink() and Path("/dev/full").is_char_device()


def test_a_pipe_that_may_not_be_opened_is_named(tmp_path, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=f"/pipe: cannot be written: {os.strerror(errno.EACCES)}; "):
        write_text(tmp_path / "pipe", "anything")


def test_a_socket_is_refused(tmp_path, monkeypatch):
    import socket

    monkeypatch.chdir(tmp_path)  # an address is short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        with pytest.raises(OutputError, match="socket: is a socket or a disk; give the name of a file"):
            write_text("socket", "anything")
        assert Path("socket").is_socket()


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path):
    path = tmp_path / ("n" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    write_text(path, "text")
    assert path.read_text() == "text"
    with pytest.raises(OutputError, match=r"nn: cannot be written: .*; shorten the name"):
        write_text(path.with_name(f"{path.name}n"), "text")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("folder", "folder: is a folder; give the name of a file"),
        ("file/new", "file/new: cannot be written: Not a directory; it or a folder above it is a file"),
        ("file/new/on", "file/new/on: cannot be written: Not a directory; it or a folder above it is a file"),
        ("loop", f"loop: cannot be written: {os.strerror(errno.ELOOP)}; remove the links that lead to each other"),
    ],
)
def test_what_is_in_the_way_is_named(tmp_path, place, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("as it was")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError) as error:
        write_text(tmp_path / place, "text")
    assert str(error.value) == f"{tmp_path}/{message}"
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "file").read_text() == "as it was"


def unnamed(folder) -> bool:
    """Whether files of atomic_write have no name in this folder before they are whole."""
    with atomic_write(folder / "trial"):
        found = not list(folder.glob(".*.tmp"))
    (folder / "trial").unlink()
    return found


def test_what_a_killed_process_was_writing_vanishes(tmp_path):
    if not unnamed(tmp_path):
        pytest.skip("files cannot be written without a name here")
    script = """
        import os, signal, sys
        from tinysegrank.files import atomic_write
        with atomic_write(sys.argv[1]) as stream:
            stream.write(b"half")
            stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "file")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


def test_files_are_written_alike_where_they_need_a_name(tmp_path, monkeypatch):
    for name in ("unnamed", "named"):
        write_text(tmp_path / name, "first")
        write_text(tmp_path / name, "second")
        with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / name) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt
        monkeypatch.delattr("os.O_TMPFILE", raising=False)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["named", "unnamed"]
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert {path.read_text() for path in tmp_path.iterdir()} == {"second"} and len(modes) == 1


def test_a_new_file_never_has_another_name(tmp_path, monkeypatch):
    """So that nothing is left when its process is killed at any moment, or its folder is moved."""
    if not unnamed(tmp_path):
        pytest.skip("files cannot be written without a name here")
    link, named = os.link, []

    def noted(source, target, **options):
        named.append(target.name)
        link(source, target, **options)

    monkeypatch.setattr("os.link", noted)
    for text in ("new", "newer"):
        write_text(tmp_path / "file", text)
        assert (tmp_path / "file").read_text() == text and len(list(tmp_path.iterdir())) == 1
    assert named[:2] == ["file", "file"] and len(named) == 3 and named[2].endswith(".tmp")


@pytest.mark.parametrize(
    "call", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open", "pathlib.Path.mkdir", "os.link"]
)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_what_the_system_refuses_names_the_path_that_was_given(tmp_path, monkeypatch, call, number):
    def refuse(*arguments, **options):
        named = () if call == "os.fsync" else (str(tmp_path / ".0123456789abcdef.tmp"),)
        raise OSError(number, os.strerror(number), *named)

    if call == "os.link" and not unnamed(tmp_path):
        pytest.skip("files cannot be written without a name here")
    path = tmp_path / "file.txt"
    write_text(path, "as it was")
    with monkeypatch.context() as patched:
        patched.setattr(call, refuse)
        if call == "pathlib.Path.open":
            patched.delattr("os.O_TMPFILE", raising=False)
        with pytest.raises(OutputError) as error:
            write_text(path, "text")
    assert str(error.value).startswith(f"{path}: cannot be written: {os.strerror(number)}; ")
    assert ".tmp" not in str(error.value)
    assert path.read_text() == "as it was" and list(tmp_path.iterdir()) == [path]


def test_an_array_that_the_disk_has_no_room_for_is_named(tmp_path):
    resource = pytest.importorskip("resource", reason="files have no limit here")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with (
            pytest.raises(
                OutputError, match=r"x\.npy: cannot be written: .* requested and .* written; free some space"
            ),
            atomic_write(tmp_path / "x.npy") as stream,
        ):
            np.save(stream, np.zeros(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_an_error_about_another_file_is_not_called_one_of_writing(tmp_path):
    with pytest.raises(FileNotFoundError, match="source"), atomic_write(tmp_path / "file") as stream:
        stream.write((tmp_path / "source").read_bytes())
    assert not list(tmp_path.iterdir())


def test_arrays_come_back_with_their_dtypes_and_strings(tmp_path):
    arrays: dict[str, np.ndarray] = {
        "a": np.arange(6, dtype=np.float16).reshape(2, 3).T,
        "b/c": np.array(3, np.int64),
        "d": np.zeros((0, 2)),
    }
    write_arrays(tmp_path / "x.safetensors", arrays, about={"format": "test"})
    back = read_arrays(tmp_path / "x.safetensors")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
    assert read_about(tmp_path / "x.safetensors") == {"format": "test"}


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "x.safetensors"
    write_arrays(path, {"a": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:-8])
    for read in (read_arrays, read_about):
        with pytest.raises(CheckpointError, match=r"x\.safetensors: is damaged"):
            read(path)
    with pytest.raises(CheckpointError, match=r"missing\.safetensors"):
        read_arrays(tmp_path / "missing.safetensors")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"x\.json: is damaged"):
        read_json(tmp_path / "x.json")
    with pytest.raises(CheckpointError, match=r"y\.json: is missing"):
        read_json(tmp_path / "y.json")


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "x.json", {"é": [1, 2.5, None]})
    assert read_json(tmp_path / "x.json") == {"é": [1, 2.5, None]}
