"""The digest of code changes with what runs, and with nothing else."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tinysegrank import code_digest as module
from tinysegrank.code_digest import all_modules, code_digest, importers_of

SOURCES = {
    "__init__.py": "",
    "tool.py": "LIMIT = 3\n",
    "other.py": "from tinysegrank.tool import LIMIT\nOTHER = LIMIT\n",
    "kit/__init__.py": "from tinysegrank.kit.inner import name\nfrom tinysegrank.kit.unused import nobody\n",
    "kit/inner.py": "def name():\n    'Say it.'\n    return 1\n",
    "kit/unused.py": "nobody = 2\n",
    "user.py": "from tinysegrank.kit import name\ndef use():\n    from tinysegrank.tool import LIMIT\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes sources over those above and returns the digest of `user`."""

    def digest(changes=None, **options):
        for name, text in (SOURCES | (changes or {})).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        module._read.cache_clear()
        code_digest.cache_clear()
        return code_digest("tinysegrank.user", **options)

    monkeypatch.setattr(module, "_ROOT", tmp_path)
    yield digest
    module._read.cache_clear()
    code_digest.cache_clear()


@pytest.mark.parametrize(
    ("file", "text", "same"),
    [
        ("user.py", SOURCES["user.py"] + "MORE = 1\n", False),
        ("tool.py", "LIMIT = 4\n", False),  # imported inside a function
        ("kit/inner.py", "def name():\n    'Say it.'\n    return 2\n", False),  # by way of a package
        ("kit/inner.py", "def name():\n    'Tell it.'\n    return 1  # one\n", True),
        ("kit/unused.py", "nobody = 3\n", True),
        ("other.py", "OTHER = 5\n", True),
    ],
)
def test_what_is_imported_counts(package, file, text, same):
    assert (package() == package({file: text})) is same


def test_a_module_outside_the_package_counts_with_what_it_imports_from_it(package, tmp_path, monkeypatch):
    def digest(text, changes=None):
        (tmp_path / "outside.py").write_text(text)
        package(changes)
        return code_digest("somewhere.outside")

    outside = ModuleType("somewhere.outside")
    outside.__file__ = str(tmp_path / "outside.py")
    monkeypatch.setitem(sys.modules, "somewhere.outside", outside)
    text = "from tinysegrank.kit import name\n"
    assert digest(text) == digest(text + "# more\n") == digest(text, {"tool.py": "LIMIT = 4\n"})
    assert digest(text) != digest(text + "MORE = 1\n")
    assert digest(text) != digest(text, {"kit/inner.py": "name = 2\n"})


def test_what_is_left_out_does_not_count(package):
    left_out = frozenset({"tinysegrank.tool"})
    assert package(left_out=left_out) == package({"tool.py": "LIMIT = 9\n"}, left_out=left_out)


def test_importers_are_found(package):
    package()
    assert importers_of("tinysegrank.tool", "LIMIT") == ["tinysegrank.other", "tinysegrank.user"]
    assert "tinysegrank.kit" in all_modules()
    assert "tinysegrank.kit.inner" in all_modules()


def test_the_package_itself():
    digests = {name: code_digest(name) for name in ("tinysegrank.nn.conv", "tinysegrank.voc.dataset")}
    assert len(set(digests.values())) == 2
    assert "tinysegrank.superpixels.fast" in importers_of("tinysegrank.compiled", "compiled")
