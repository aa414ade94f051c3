"""The import contract of `nn` sees a circle that is put back, inside a function too."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinysegrank

CIRCLES = {
    "evaluation to layer": ("fast/evaluation.py", "from tinysegrank.nn.layer import Conv2d\n"),
    "pooling to pool": ("fast/pooling.py", "from tinysegrank.nn.pool import max_pool2d\n"),
    "layer to evaluate, inside a function": (
        "layer.py",
        "def later():\n    from tinysegrank.nn.evaluate import evaluate\n",
    ),
    "a check to its function": ("arguments.py", "from tinysegrank.nn.conv import conv2d\n"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command as run; run(args=['--no-cache'])"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("circle", [None, *CIRCLES])
def test_a_circle_breaks_the_contract(circle: str | None, tmp_path: Path) -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed; run `pip install '.[lint]'`")
    package = Path(tinysegrank.__file__).parent
    if not (contract := package.parent / "pyproject.toml").is_file():
        pytest.skip("the package is installed without its pyproject.toml")
    shutil.copytree(package, tmp_path / "tinysegrank", ignore=shutil.ignore_patterns("__pycache__", "*.nb?"))
    shutil.copy(contract, tmp_path)
    if circle is not None:
        name, imported = CIRCLES[circle]
        with (tmp_path / "tinysegrank" / "nn" / name).open("a", encoding="utf-8") as stream:
            stream.write(f"\n\n{imported}")
    done = lint(tmp_path)
    assert done.returncode == (circle is not None), done.stdout + done.stderr
    assert ("No circles in nn" in done.stdout) and (("1 broken" in done.stdout) == (circle is not None))
