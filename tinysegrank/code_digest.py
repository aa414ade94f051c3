"""Digests of the package's own code, so that what yesterday's code made is not taken for today's."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import tinysegrank

PACKAGE = "tinysegrank"
_ROOT = Path(tinysegrank.__file__).parent


@lru_cache(maxsize=64)
def code_digest(*modules: str, left_out: frozenset[str] = frozenset()) -> str:
    """Return a SHA-256 of modules of the package and of all that they import from the package, directly or not.

    Comments and docstrings don't count. A name imported from a subpackage counts as the file that defines it, not as
    the whole subpackage.

    Args:
        modules: full names, such as "tinysegrank.experiment.stages.trunk".
        left_out: full names of modules that don't count, nor what only they import.
    """
    found, waiting = set(), list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in left_out:
            found.add(name)
            waiting += _read(name).imports
    lines = "".join(f"{name} {_read(name).digest}\n" for name in sorted(found))
    return hashlib.sha256(lines.encode()).hexdigest()


def all_modules() -> list[str]:
    """Return the full names of the package's modules."""
    paths = [path.relative_to(_ROOT).with_suffix("") for path in sorted(_ROOT.rglob("*.py"))]
    return [".".join((PACKAGE, *path.parts)).removesuffix(".__init__") for path in paths]


def importers_of(module: str, name: str) -> list[str]:
    """Return the full names of the package's modules that import a name from another themselves."""
    mention = module.encode()  # a module without it need not be parsed
    candidates = (other for other in all_modules() if mention in _file(other).read_bytes())
    return [other for other in candidates if (module, name) in _read(other).origins.values()]


class _Source(NamedTuple):
    """What is known of a module from its text alone.

    Attributes:
        digest: SHA-256 of its syntax tree without docstrings.
        origins: where each name that it imports from the package comes from: (module, name there, "" for the module).
    """

    digest: str
    origins: dict[str, tuple[str, str]]

    @property
    def imports(self) -> set[str]:
        """Full names of the package's modules that it imports."""
        return {_defining(*origin) for origin in self.origins.values()}


@lru_cache(maxsize=1024)
def _read(module: str) -> _Source:
    tree = ast.parse(_file(module).read_bytes())
    origins = dict(_origins(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    return _Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), origins)


def _file(module: str) -> Path:
    place = _ROOT.joinpath(*module.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _is_module(name: str) -> bool:
    return _file(name).is_file()


def _origins(tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each name that a module imports from the package, with its origin; all imports are absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.asname or alias.name, (alias.name, "")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                yield alias.asname or alias.name, (str(node.module), alias.name)


def _defining(module: str, name: str) -> str:
    """Return the module that defines a name imported from another."""
    if not name:
        return module
    if _is_module(f"{module}.{name}"):
        return f"{module}.{name}"
    if _file(module).name != "__init__.py":
        return module
    origins = _read(module).origins
    return _defining(*origins[name]) if name in origins else module


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        del node.body[0]
