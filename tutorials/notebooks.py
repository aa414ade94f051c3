"""Make notebooks and scripts of the pages: `python -m tutorials.notebooks 05` from the repository's root.

Each page becomes a notebook, `NN_name.ipynb`; a second one of its exercises with their answers,
`NN_name.answers.ipynb`, which runs the first; and a script, `NN_name.py`, of the first one's cells. Prompts and printed
results are removed, a cell that is meant to fail prints its error, and figures are shown, not saved.
"""

from __future__ import annotations

import argparse
import ast
import doctest
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
REPOSITORY = ""  # OWNER/NAME of a public copy on GitHub; if set, each notebook has a badge that opens it in a browser
PAGE = re.compile(r"(\d\d)_\w+\.md")  # 05_iou_and_uoi.md
STYLE = "from drawing import use_style\n\nuse_style()"
TOKEN = re.compile(
    r"^```python\n(?P<code>.*?)^```\n|^<details>\n<summary>(?P<summary>.*?)</summary>\n|^(?P<end></details>)\n?",
    re.MULTILINE | re.DOTALL,
)
SAVE = re.compile(r"^( *)(?:figure\.savefig|save_small)\(.*\)$", re.MULTILINE)


class Part(NamedTuple):
    """A stretch of a page: Markdown or a cell."""

    text: str
    is_code: bool
    summary: str  # of the <details> that it stands in, if any


class Cell(NamedTuple):
    """A cell of a notebook."""

    source: str
    is_code: bool = True
    prints: str = ""  # what the page says that it prints
    is_folded: bool = False  # whether its code is folded away, as that of a drawing


def pages() -> list[Path]:
    """Return the pages in order."""
    return sorted(path for path in HERE.glob("*.md") if PAGE.fullmatch(path.name))


def number_of(page: Path) -> str:
    """Return the number of a page as its file name has it, such as 04."""
    return page.stem.partition("_")[0]


def parts_of(text: str) -> Iterator[Part]:
    """Take a text of a page apart."""
    summary, at = "", 0
    for token in [*TOKEN.finditer(text), None]:
        if before := text[at : token.start() if token else None].strip("\n"):
            yield Part(before, False, summary)
        if token is None:
            return
        if token["code"] is None:
            summary = token["summary"] or ""
        else:
            yield Part(token["code"].rstrip("\n"), True, summary)
        at = token.end()


def code_cells(code: str, *, saves: bool = False) -> Iterator[Cell]:
    """Turn a cell of a page into cells that run without prompts: a new one after each value shown.

    Args:
        code: the text between the fences.
        saves: keep the lines that save figures, instead of showing them.
    """
    if not saves:
        code = SAVE.sub(r"\1plt.show()", code)
    if not code.startswith(">>>"):
        yield Cell(code)
        return
    source, prints = "", ""
    for example in doctest.DocTestParser().get_examples(code):
        source += example.source
        if example.exc_msg is None:
            prints += example.want
        else:
            source = source.removesuffix(example.source) + printing_error(example.source)
            prints += re.sub(r"^[\w.]*\.", "", example.exc_msg)
        if is_value(example.source) and example.want:
            yield Cell(source.rstrip("\n"), prints=prints)
            source, prints = "", ""
    if source:
        yield Cell(source.rstrip("\n"), prints=prints)


def is_value(source: str) -> bool:
    """Return whether this code is an expression whose value is shown, and not a call of print."""
    body = ast.parse(source).body
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        return False
    call = body[0].value
    return not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print")


def printing_error(source: str) -> str:
    """Wrap code that is meant to fail, so that it prints its error."""
    indented = "".join(f"    {line}\n" for line in source.rstrip("\n").split("\n"))
    return f'try:\n{indented}except Exception as error:\n    print(f"{{type(error).__name__}}: {{error}}")\n'


def cells_of(parts: Iterable[Part], folder: Path, *, saves: bool = False) -> Iterator[Cell]:
    """Turn parts of a page into the cells of a notebook in a folder."""
    for part in parts:
        if part.is_code:
            for cell in code_cells(part.text, saves=saves):
                yield cell._replace(is_folded=part.summary == "The drawing")
        elif text := re.sub(r"^!\[[^]]*\]\([^)]*\)\n*", "", part.text, flags=re.MULTILINE).strip():
            yield Cell(re.sub(r"\]\((?![a-z]+:|#)([^)#]*)", lambda link: f"]({moved(link[1], folder)}", text), False)


def moved(target: str, folder: Path) -> str:
    """Return a link of a page as it is in a folder: another page is a notebook there, a file is where it was."""
    if PAGE.fullmatch(target):
        return target.removesuffix(".md") + ".ipynb"
    return Path(os.path.relpath(HERE / target, folder)).as_posix()


def page_cells(page: Path, folder: Path, *, saves: bool = False) -> list[Cell]:
    """Return the cells of a page without its answers."""
    body, exercises = halves(page)
    parts = [*parts_of(body), *(part for part in parts_of(exercises) if not part.summary)]
    after = Cell(f"The answers are in [another notebook]({page.stem}.answers.ipynb).", False)
    return [*badge(page), Cell(STYLE), *cells_of(parts, folder, saves=saves), after]


def answer_cells(page: Path, folder: Path) -> list[Cell]:
    """Return the cells of the exercises and their answers."""
    return list(cells_of(parts_of(halves(page)[1]), folder))


def halves(page: Path) -> tuple[str, str]:
    """Return the text of a page and that of its exercises."""
    text = page.read_text(encoding="utf-8")
    at = text.index("\n## Exercises\n")
    return text[:at], text[at:]


def badge(page: Path) -> list[Cell]:
    """Return the cell that opens a page in a browser, if the project has a public address."""
    if not REPOSITORY:
        return []
    where = f"https://mybinder.org/v2/gh/{REPOSITORY}/HEAD?urlpath=lab/tree/notebooks/{page.stem}.ipynb"
    return [Cell(f"[![Open in a browser](https://mybinder.org/badge_logo.svg)]({where})", False)]


def notebook(cells: Iterable[Cell]) -> dict[str, Any]:
    """Return a notebook as Jupyter's JSON (nbformat 4.5)."""
    made: list[dict[str, Any]] = []
    for number, cell in enumerate(cells):
        kind: dict[str, Any] = {"cell_type": "markdown", "metadata": {}}
        if cell.is_code:
            hidden = {"jupyter": {"source_hidden": True}} if cell.is_folded else {}
            kind = {"cell_type": "code", "metadata": hidden, "execution_count": None, "outputs": []}
        made.append({"id": f"cell-{number}", **kind, "source": cell.source})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": made}


def script(cells: Iterable[Cell]) -> str:
    """Return the same cells as a script, with Markdown as comments and `# %%` before each cell."""
    blocks = []
    for cell in cells:
        if not cell.is_code:
            lines = (f"# {line}".rstrip() for line in cell.source.split("\n"))
            blocks.append("# %% [markdown]\n" + "\n".join(lines))
            continue
        source = cell.source
        last = ast.get_source_segment(source, ast.parse(source).body[-1]) or ""
        if cell.prints and is_value(last):
            before, after = source.rsplit(last, 1)
            value = f"({last})" if isinstance(ast.parse(last, mode="eval").body, ast.Tuple) else last
            source = f"{before}print(repr({value})){after}"  # what a notebook shows
        blocks.append("# %%\n" + source)
    return "\n\n".join(blocks) + "\n"


def write(page: Path, folder: Path) -> list[Path]:
    """Write the files of a page that are not there yet; return those written."""
    cells = page_cells(page, folder)
    running = Cell(f"%%capture\n%run {page.stem}.ipynb")  # the names that the answers use
    contents = {
        f"{page.stem}.ipynb": json.dumps(notebook(cells), indent=1, ensure_ascii=False) + "\n",
        f"{page.stem}.answers.ipynb": json.dumps(
            notebook([running, *answer_cells(page, folder)]), indent=1, ensure_ascii=False
        ) + "\n",
        f"{page.stem}.py": script(cells),
    }  # fmt: skip
    missing = {folder / name: text for name, text in contents.items() if not (folder / name).exists()}
    for path, text in missing.items():
        path.write_text(text, encoding="utf-8")
    return list(missing)


def main() -> None:
    """Write the pages that the command line names, or all."""
    parser = argparse.ArgumentParser(prog="python -m tutorials.notebooks", description=__doc__.split("\n")[0])
    numbers = [number_of(page) for page in pages()]
    parser.add_argument("pages", nargs="*", metavar="NN", help=f"numbers of pages, {numbers[0]} to {numbers[-1]}; all")
    parser.add_argument("--out", type=Path, default=Path("notebooks"), metavar="FOLDER", help="default: notebooks")
    arguments = parser.parse_args()
    if unknown := set(arguments.pages) - set(numbers):
        parser.error(f"no such page: {', '.join(sorted(unknown))}; there are {', '.join(numbers)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for module in ("drawing.py", "imitation.py", "baselines.py"):  # what the cells import
        shutil.copy2(HERE / module, arguments.out)
    shutil.copytree(HERE / "check", arguments.out / "check", dirs_exist_ok=True)
    chosen = [page for page in pages() if number_of(page) in (arguments.pages or numbers)]
    written = [path for page in chosen for path in write(page, arguments.out)]
    print(f"{len(written)} files written to {arguments.out}; files that exist are kept (delete them to start again)")


if __name__ == "__main__":
    main()
