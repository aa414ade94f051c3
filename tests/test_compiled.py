"""The cache of compiled code: found again when nothing has changed, never stale, never a reason to fail."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinysegrank import code_digest
from tinysegrank import compiled_cache as module
from tinysegrank.cli.doctor import findings
from tinysegrank.compiled import compiled, intrinsic
from tinysegrank.compiled_cache import KEPT, LATELY, cache_folder

CALL = """
import numpy as np
from tinysegrank.voc.fast import list_ones
places = np.empty(8, np.int64)
assert list_ones(np.array([0, 1, 0, 0, 0, 1, 0, 0], np.uint8).view(np.uint64), places) == 2
assert list(places[:2]) == [1, 5]
print(sum(list_ones.stats.cache_hits.values()), list_ones.stats.cache_path)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and an empty folder of temporary files, of this test alone."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    forget()
    yield tmp_path / "cache"
    forget()


def forget():
    """As if the process had just started."""
    module.source_digest.cache_clear()
    code_digest.code_digest.cache_clear()
    code_digest._read.cache_clear()
    module.cache_folder.cache_clear()


def line_of_doctor():
    return next(value for name, value in findings() if name == "compiled")


def triple(x):
    return 3 * x


def hits(function, *arguments):
    """Return how many of a function's compilations were found in the cache, after a call."""
    function(*arguments)
    return sum(function.stats.cache_hits.values())


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_compiling_is_said_once_in_a_process(caplog):
    caplog.set_level("INFO", module.LOGGER.name)
    module._say_once.cache_clear()
    for number in (2, 0.5):
        compiled()(triple)(number)
    assert ["is being compiled" in record.message for record in caplog.records] == [True]
    module._say_once.cache_clear()
    assert hits(compiled()(triple), 2) == 1
    assert len(caplog.records) == 1  # nothing is compiled where all is found
    module._say_once()  # and no other test's command says it


def test_a_function_is_compiled_once_for_each_type(cache):
    first: Any = compiled()(triple)
    assert (first(2), first(0.5)) == (6, 1.5)
    assert sum(first.stats.cache_hits.values()) == 0
    assert len(files(cache)) == 2
    forget()
    second: Any = compiled()(triple)
    assert (second(2), second(0.5)) == (6, 1.5)
    assert sum(second.stats.cache_hits.values()) == 2


def test_functions_that_call_others_and_intrinsics_are_cached():
    from numba import types

    @intrinsic
    def halve(_, number):
        def code(context, builder, signature, arguments):
            return builder.ashr(arguments[0], arguments[0].type(1))

        return types.int64(types.int64), code

    inner = compiled(error_model="numpy")(triple)

    def both(x):
        return halve(inner(x))

    assert compiled()(both)(6) == 9
    assert hits(compiled()(both), 6) == 1


def test_a_constant_around_a_function_is_part_of_what_it_is():
    def times(factor):
        return compiled()(lambda x: x * factor)

    assert [times(factor)(2) for factor in (3, 4, 3)] == [6, 8, 6]
    assert hits(times(4), 2) == 1


def test_options_reach_numba():
    divide: Any = compiled(error_model="numpy")(lambda a, b: a / b)
    assert divide(1.0, 0.0) == np.inf
    assert divide.targetoptions["nogil"]


def test_the_folder_depends_on_every_module_that_compiles_and_what_it_imports(tmp_path, monkeypatch):
    compiling = "from tinysegrank.{tool} import SIZE\nfrom tinysegrank.compiled import compiled\n"
    usual = {"compiled": "", "tool": "SIZE = 3", "more": "SIZE = 3", "fast": compiling.format(tool="tool"), "cli": ""}
    variants = [
        usual,
        usual | {"tool": "SIZE = 4"},  # a constant of another file
        usual | {"fast": compiling.format(tool="more")},
        usual | {"fast_too": compiling.format(tool="tool")},
        usual | {"cli": "from tinysegrank.fast import SIZE"},  # compiles nothing
    ]
    found = []
    for number, sources in enumerate(variants):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, source in sources.items():
            (folder / f"{name}.py").write_text(source)
        monkeypatch.setattr(code_digest, "_ROOT", folder)
        forget()
        found.append(cache_folder())
    assert found[0] == found[-1]
    assert len(set(found)) == len(found) - 1


def test_the_folder_depends_on_settings_that_change_machine_code(monkeypatch):
    usual = cache_folder()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    forget()
    assert cache_folder() == usual
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    forget()
    assert cache_folder() != usual


def whole(content):
    return sha256(content).digest() + content


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:],
        lambda data: whole(b"no pickle"),
        lambda data: whole(data[32:200]),
    ],
    ids=["empty", "in the checksum", "half", "one byte short", "one bit", "no pickle", "cut, then summed"],
)
def test_a_damaged_file_is_compiled_again(cache, damage):
    compiled()(triple)(2)
    (path,) = files(cache)
    good = path.read_bytes()
    path.write_bytes(damage(good))
    again = compiled()(triple)
    assert hits(again, 2) == 0
    assert again(2) == 6
    assert hits(compiled()(triple), 2) == 1  # it was mended


def test_code_of_other_types_is_not_taken(cache):
    compiled()(triple)(2)
    (path,) = files(cache)
    of_integers = path.read_bytes()
    compiled()(triple)(0.5)
    for found in files(cache):
        found.write_bytes(of_integers)
    assert compiled()(triple)(0.5) == 1.5


def test_a_folder_that_goes_away_is_made_again(cache):
    compiled()(triple)(2)
    shutil.rmtree(cache)
    assert compiled()(triple)(2) == 6
    assert cache_folder().stat().st_mode & 0o777 == 0o700
    assert len(files(cache)) == 1


def unusable(cache, kind):
    mine = cache / f"tinysegrank-{os.getuid()}"
    if kind == "a file":
        cache.write_text("")
        return
    cache.mkdir()
    if kind == "of everyone":
        mine.mkdir()
        mine.chmod(0o777)
    elif kind == "of a group":
        mine.mkdir()
        mine.chmod(0o770)
    elif kind == "a link":
        (cache / "elsewhere").mkdir(mode=0o700)
        mine.symlink_to(cache / "elsewhere")
    elif kind == "in a folder of everyone":
        cache.chmod(0o777)
    elif kind == "of another user":
        mine.mkdir(mode=0o700)
        os.chown(mine, 65534, 65534)


@pytest.mark.parametrize(
    "kind",
    [
        "a file", "of everyone", "of a group", "a link", "in a folder of everyone",
        pytest.param("of another user", marks=pytest.mark.skipif(os.getuid() != 0, reason="needs root")),
    ],
)  # fmt: skip
def test_a_cache_that_cannot_be_trusted_is_replaced_by_temporary_files(cache, kind, tmp_path, caplog):
    unusable(cache, kind)
    assert compiled()(triple)(2) == 6
    assert hits(compiled()(triple), 2) == 1
    assert cache_folder().is_relative_to(tmp_path / "temporary")
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # once
    for word in (str(cache), str(tmp_path / "temporary"), "NUMBA_CACHE_DIR"):
        assert word in caplog.text


def test_a_folder_of_everyone_is_fine_where_only_owners_may_rename(cache, caplog):
    cache.mkdir()
    cache.chmod(0o1777)  # as /tmp
    assert cache_folder().is_relative_to(cache)
    assert not caplog.records


def test_without_any_folder_functions_are_compiled_all_the_same(cache, tmp_path, caplog):
    cache.write_text("")
    (tmp_path / "temporary").rmdir()
    (tmp_path / "temporary").write_text("")
    function: Any = compiled()(triple)
    assert function(2) == 6
    assert function.stats.cache_path is None
    assert hits(compiled()(triple), 2) == 0
    assert len(caplog.records) == 1
    assert "at every start" in caplog.text
    assert "not cached" in line_of_doctor()


def test_a_full_disk_is_no_reason_to_fail(monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "atomic_write", full)
    assert compiled()(triple)(2) == 6


def test_without_a_home_nothing_is_written_to_the_present_folder(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: "~/.cache/tinysegrank")  # as it then answers
    monkeypatch.chdir(tmp_path)
    assert cache_folder().is_relative_to(tmp_path / "temporary")
    assert "home" in caplog.text
    assert not (tmp_path / "~").exists()


def test_the_users_cache_folder_is_the_usual_place(tmp_path, monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *_, **__: str(tmp_path / "home" / "tinysegrank"))
    assert cache_folder().parent == tmp_path / "home" / "tinysegrank" / "compiled"


def test_old_folders_go_but_those_used_last_and_lately(cache):
    base = cache / f"tinysegrank-{os.getuid()}"
    now, old = time.time(), [base / f"old{number}" for number in range(KEPT + 4)]
    for number, folder in enumerate(old):
        folder.mkdir(parents=True)
        (folder / "code").write_text("")
        os.utime(folder, (now, now - LATELY - 60 - number))
    base.chmod(0o700)
    present = cache_folder()
    assert set(base.iterdir()) == {present, *old[:KEPT]}
    many = [base / f"new{number}" for number in range(KEPT + 4)]
    for folder in many:
        folder.mkdir()
    present.rmdir()
    forget()
    assert cache_folder() == present
    assert set(base.iterdir()) == {present, *many}


def test_doctor_shows_the_folder():
    assert line_of_doctor() == f"cached in {cache_folder()}"


def start(python=sys.executable, **options):
    return subprocess.Popen([python, "-c", CALL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def answer(process):
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    found, folder = output.split()
    return int(found), folder, errors


@pytest.mark.slow
def test_two_processes_may_fill_an_empty_cache_at_once():
    both = [start(), start()]
    places = {answer(process)[1] for process in both}
    assert places == {str(cache_folder())}
    assert answer(start()) == (1, *places, "")


def reachable_python(options):
    """A Python of this version that runs the package under these options of `subprocess`, if there is one."""
    for python in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        try:
            subprocess.run([python, "-c", "import numba, tinysegrank"], **options, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_a_user_without_a_home_who_cannot_write_to_the_package():
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:  # pytest's own are closed to others
        Path(temporary).chmod(0o1777)
        libraries = [str(Path(module.__file__).parents[1]), *(path for path in sys.path if "site-packages" in path)]
        environment = {"TMPDIR": temporary, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": os.pathsep.join(libraries)}
        other = {"user": 65534, "group": 65534, "extra_groups": [], "env": environment, "cwd": "/"}
        if (python := reachable_python(other)) is None:
            pytest.skip("another user cannot reach any Python with these libraries")
        found, folder, errors = answer(start(python, **other))
        assert found == 0
        assert folder.startswith(f"{temporary}/tinysegrank-65534/")
        assert len(errors.splitlines()) == 1
        assert folder.rpartition("/")[0] in errors
        assert answer(start(python, **other))[:2] == (1, folder)


def test_all_compiled_functions_are_of_this_cache():
    """One that numba itself caches would be stale after a change in another file."""
    root = Path(module.__file__).parent
    direct = re.compile(r"\bn?jit\b|\bnumba\.extending\b|\bcache=True")
    users = [path.relative_to(root) for path in root.rglob("*.py") if direct.search(path.read_text())]
    assert [str(path) for path in users] == ["compiled.py"]
