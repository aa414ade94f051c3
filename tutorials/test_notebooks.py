"""The notebooks and scripts that are made of the pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import notebooks
import pytest
from notebooks import HERE, Cell, answer_cells, code_cells, page_cells, pages
from running import run_cells, same

PAGE = """# 7. Toys

See [page 5](05_iou_and_uoi.md#43-x), [nn](../tinysegrank/nn/conv.py), [the web](https://arxiv.org) and [above](#toys).

```python
def f(x):

    return 1 / x
```

```python
>>> for k in (1, 2):
...     print(f(k))
1.0
0.5
>>> f(4)  # a quarter
0.25
>>> f(4), f(1)
(0.25, 1.0)
>>> kept, f = f, None
>>> f(1)
Traceback (most recent call last):
...
TypeError: 'NoneType' object is not callable
>>> f = kept
```

```bash
no cell
```

<details>
<summary>The drawing</summary>

```python
figure.savefig("figures/18_toys.png", dpi=80)
```

</details>

![A toy](figures/18_toys.png)

*A caption.*

## Summary

- Toys.

## Exercises

**1.** What is f(8)?

<details>
<summary>Answer</summary>

An eighth.

```python
assert f(8) == 0.125
```

</details>
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "07_toys.md"
    path.write_text(PAGE, encoding="utf-8")
    return path


def test_a_page_becomes_cells_without_prompts_and_answers(page: Path) -> None:
    style, title, define, loop, pair, failing, restore, bash, drawing, caption, exercise, end = page_cells(page, HERE)
    assert "use_style()" in style.source
    assert "[page 5](05_iou_and_uoi.ipynb#43-x)" in title.source and "[above](#toys)" in title.source
    assert "[nn](../tinysegrank/nn/conv.py)" in title.source and "(https://arxiv.org)" in title.source
    assert define.source == "def f(x):\n\n    return 1 / x"
    assert loop == Cell("for k in (1, 2):\n    print(f(k))\nf(4)  # a quarter", prints="1.0\n0.5\n0.25\n")
    assert pair == Cell("f(4), f(1)", prints="(0.25, 1.0)\n")
    assert failing.prints == "TypeError: 'NoneType' object is not callable\n"
    assert restore == Cell("f = kept")
    assert not bash.is_code and "no cell" in bash.source
    assert drawing == Cell("plt.show()", is_folded=True)
    assert "A caption" in caption.source and "toys.png" not in caption.source
    assert "f(8)" in exercise.source and "07_toys.answers.ipynb" in end.source
    assert [cell.source for cell in answer_cells(page, HERE)][1:] == ["An eighth.", "assert f(8) == 0.125"]


@pytest.mark.slow
def test_the_cells_run_and_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    cells = [cell for cell in page_cells(page, HERE) if cell.source != "plt.show()"]
    run_cells(cells + answer_cells(page, HERE), tmp_path)  # the last needs f, so the failing cell has not broken it
    wrong = [cell._replace(prints=cell.prints.replace("0.25", "0.28")) for cell in cells]
    with pytest.raises(AssertionError, match="but the page says"):
        run_cells(wrong, tmp_path)
    with pytest.raises(AssertionError, match="warns"):
        run_cells([Cell("import warnings\nwarnings.warn('careful')")], tmp_path)


def test_the_script_of_a_page_prints_the_same(page: Path, tmp_path: Path) -> None:
    cells = [cell for cell in page_cells(page, HERE) if cell.source != "plt.show()"]
    (tmp_path / "page.py").write_text(notebooks.script(cells), encoding="utf-8")
    command = f"import sys, runpy; sys.path.insert(0, {str(HERE)!r}); runpy.run_path('page.py')"
    ran = subprocess.run([sys.executable, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("".join(cell.prints for cell in cells), "")


def test_a_statement_after_a_value_is_in_a_cell_of_its_own() -> None:
    made = list(code_cells(">>> 1 + 1\n2\n>>> x = 3\n>>> x\n3\n"))
    assert made == [Cell("1 + 1", prints="2\n"), Cell("x = 3\nx", prints="3\n")]


@pytest.mark.parametrize(
    ("printed", "alike"),
    [
        ("0.51 and 3 of -1.", True),
        ("0.52  and 3 of -1.", True),  # the last digit, and spaces
        ("0.53 and 3 of -1.", False),
        ("0.512 and 3 of -1.", False),  # more digits than the page has
        ("0.5 and 3 of -1.", False),
        ("0.51 and 4 of -1.", False),  # whole numbers are exact
        ("0.51 or 3 of -1.", False),
    ],
)
def test_what_is_printed_is_compared_digit_for_digit(printed: str, alike: bool) -> None:
    assert same("0.51 and 3 of -1.\n", printed) == alike
    assert same("0.51 and ...\n", printed) == (alike or printed.endswith("4 of -1."))


def test_notebooks_that_exist_are_kept(page: Path, tmp_path: Path) -> None:
    written = notebooks.write(page, tmp_path)
    assert [path.name for path in written] == ["07_toys.ipynb", "07_toys.answers.ipynb", "07_toys.py"]
    written[0].write_text("mine", encoding="utf-8")
    written[2].unlink()
    assert notebooks.write(page, tmp_path) == [written[2]]
    assert written[0].read_text(encoding="utf-8") == "mine"
    answers = json.loads(written[1].read_text(encoding="utf-8"))
    assert answers["cells"][0]["source"] == "%%capture\n%run 07_toys.ipynb"
    nbformat.validate(nbformat.from_dict(answers))


def test_a_badge_needs_a_public_address(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("mybinder" in cell.source for cell in page_cells(page, HERE))
    monkeypatch.setattr(notebooks, "REPOSITORY", "somebody/project")
    assert "mybinder.org/v2/gh/somebody/project/" in page_cells(page, HERE)[0].source


@pytest.mark.slow
def test_the_command_makes_notebooks_that_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tutorials.notebooks", "--out", str(tmp_path)]
    ran = subprocess.run([*command, "99"], cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert ran.returncode == 2 and "no such page: 99" in ran.stderr
    subprocess.run([*command, "03"], cwd=HERE.parent, check=True)
    answers = nbformat.read(tmp_path / "03_pooling_and_lrn.answers.ipynb", as_version=4)
    run_cells([Cell(cell.source, cell.cell_type == "code") for cell in answers.cells], tmp_path)  # runs the page first


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_each_page_is_made_and_says_how_to_run_it(path: Path) -> None:
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8").replace("\n>", "\n"))
    assert (
        f"`python -m tutorials.notebooks {notebooks.number_of(path)}`" in text and f"`notebooks/{path.stem}.py`" in text
    )
    takes = re.search(r"\*\*Builds on\*\* .+ \*\*Takes\*\* (\d+) seconds of CPU time", text)
    assert takes is not None
    rows = (HERE / "README.md").read_text(encoding="utf-8").split("\n")
    (row,) = [line for line in rows if f"({path.name}) |" in line]
    title = text.partition(". ")[2].partition(" #")[0]
    assert row.endswith(f" | {takes[1]} |") and row.partition("]")[0].partition(". ")[2] in title
    compile(notebooks.script(page_cells(path, HERE)), path.name, "exec")
    for cell in page_cells(path, HERE) + answer_cells(path, HERE):
        assert "savefig" not in cell.source and "save_small(" not in cell.source and ">>> " not in cell.source
        for link in [] if cell.is_code else re.findall(r"\]\((?![a-z]+:|#)([^)#]+)", cell.source):
            target = re.sub(r"(\.answers)?\.ipynb$", ".md", link)
            assert (HERE / target).exists(), link
