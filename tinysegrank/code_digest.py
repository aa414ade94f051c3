"""Digests of the package's source code, and the versions and settings on which results depend as well."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import tinysegrank
from tinysegrank.plugins import VARIABLE as PLUGINS
from tinysegrank.plugins import load_plugins

PACKAGE = "tinysegrank"
_ROOT = Path(tinysegrank.__file__).parent
_LIBRARIES = ("numpy", "scipy", "scikit-image", "scikit-learn", "numba")  # those that results depend on
_OTHERS = ("pillow", "matplotlib", "array-api-compat", "pooch", "safetensors", "onnx", "torch", "jax", "cupy-cuda12x",
           "distributed")  # fmt: skip
_VARIABLES = ("TINYSEGRANK_BACKEND", "TINYSEGRANK_ACCELERATE", PLUGINS)


@lru_cache(maxsize=64)
def code_digest(*modules: str, left_out: frozenset[str] = frozenset(), plugins: tuple[str, ...] = ()) -> str:
    """Return the SHA-256 of some modules of the package and of all its modules that these import, even indirectly.

    Comments and docstrings don't count. An import from a subpackage adds only the file that defines the name, not the
    whole subpackage.

    Args:
        modules: full names, such as "tinysegrank.experiment.stages.trunk".
        left_out: full names of modules to leave out, together with modules that only these import.
        plugins: full names of modules from outside the package. The source of such a module counts if it imports from a
            module that counts, as it may add to that module's tables.
    """
    found, waiting = set(), list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in left_out:
            found.add(name)
            waiting += _read(name).imports
    found |= {name for name in plugins if found & _within_reach(name)}
    lines = "".join(f"{name} {_read(name).digest}\n" for name in sorted(found))
    return hashlib.sha256(lines.encode()).hexdigest()


def _within_reach(module: str) -> set[str]:
    """Return the full names of the package's modules whose contents a module can use.

    These are the modules in its import statements and the modules that define the imported names. If it imports a
    module as a whole, the modules that define that module's own imports are added.
    """
    origins = _read(module).origins.values()
    imported = {_defining(*origin) for origin in origins if _is_module(*origin)}
    sources = {source for source, _ in origins}
    return sources.union(_read(module).imports, *(_read(name).imports for name in imported))


def all_modules() -> list[str]:
    """Return the full names of all modules of the package."""
    paths = [path.relative_to(_ROOT).with_suffix("") for path in sorted(_ROOT.rglob("*.py"))]
    return [".".join((PACKAGE, *path.parts)).removesuffix(".__init__") for path in paths]


def surroundings() -> tuple[str, ...]:
    """Return strings with the versions, settings and code that two processes must share for equal results."""
    return (*_versions(load_plugins()), *(f"{name}={os.environ.get(name, '')}" for name in _VARIABLES))


def library_versions() -> dict[str, str]:
    """Return the version of each library that the package can use, or "not installed", by name."""
    found = {}
    for name in (*_LIBRARIES, *_OTHERS):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@lru_cache(maxsize=1)
def _versions(plugins: tuple[str, ...]) -> tuple[str, ...]:
    libraries = (f"{name} {version(name)}" for name in _LIBRARIES)
    code = code_digest(*all_modules(), *plugins)
    return (f"Python {platform.python_version()}", f"tinysegrank of code {code[:8]}", *libraries)


def importers_of(module: str, name: str) -> list[str]:
    """Return the full names of the package's modules that contain `from module import name`."""
    mention = module.encode()  # files that don't contain it need not be parsed
    candidates = (other for other in all_modules() if mention in _file(other).read_bytes())
    return [other for other in candidates if (module, name) in _read(other).origins.values()]


class _Source(NamedTuple):
    """The digest and the imports of a module, found by parsing its source."""

    digest: str  # SHA-256 of its syntax tree without docstrings
    origins: dict[str, tuple[str, str]]  # names it imports from the package: (module, name in it, or "" for the module)

    @property
    def imports(self) -> set[str]:
        """Full names of the package's modules that define the imported names."""
        return {_defining(*origin) for origin in self.origins.values()}


@lru_cache(maxsize=1024)
def _read(module: str) -> _Source:
    tree = ast.parse(_file(module).read_bytes())
    origins = {} if module == PACKAGE else dict(_origins(tree))  # nothing else computes by what `load` imports
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return _Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), origins)


def _file(module: str) -> Path:
    if module.split(".")[0] != PACKAGE:  # such as a plugin; it has been imported
        return Path(str(sys.modules[module].__file__))
    place = _ROOT.joinpath(*module.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def _origins(tree: ast.Module) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield (name, (module, name in it)) for each name that a module imports from the package by an absolute import.

    The name in the module is "" where an `import` statement names the module itself.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    yield alias.asname or alias.name, (alias.name, "")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                yield alias.asname or alias.name, (str(node.module), alias.name)


def _defining(module: str, name: str) -> str:
    """Return the full name of the module that defines `name` of `module`, past the imports of an __init__.py.

    For "" return `module` itself, and for a submodule that submodule.
    """
    if _is_module(module, name):
        return f"{module}.{name}".rstrip(".")
    if _file(module).name != "__init__.py":
        return module
    origins = _read(module).origins
    return _defining(*origins[name]) if name in origins else module


def _is_module(module: str, name: str) -> bool:
    return not name or _file(f"{module}.{name}").is_file()
