"""Write the API reference, HTML pages made by pdoc from the docstrings, and fail on its warnings.

Usage: python .ci/api.py FOLDER
"""

import importlib
import inspect
import pkgutil
import sys
import typing
import warnings
from pathlib import Path

import pdoc

import tinysegrank


def resolve_names():
    """Resolve what pdoc does not: names imported when first used, and the annotations of named tuples.

    pdoc reads a named tuple's constructor in the module that exports it.
    """
    for found in pkgutil.walk_packages(tinysegrank.__path__, "tinysegrank."):
        if found.name != "tinysegrank.__main__":
            module = importlib.import_module(found.name)
            vars(module).update({name: getattr(module, name) for name in getattr(module, "__all__", ())})
            for _, kind in inspect.getmembers(module, inspect.isclass):
                if issubclass(kind, tuple) and kind.__module__ == found.name:
                    exported = vars(sys.modules[found.name.rpartition(".")[0]])
                    kind.__new__.__annotations__ = typing.get_type_hints(kind, localns=exported)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    pdoc.render.configure(docformat="google", footer_text=f"tinysegrank {tinysegrank.__version__}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        resolve_names()
        pdoc.pdoc("tinysegrank", "!tinysegrank.__main__", output_directory=folder)
    for warning in caught:
        print(f"{warning.filename}:{warning.lineno}: {warning.message}", file=sys.stderr)
    print(f"{folder}: {len(list(folder.rglob('*.html')))} pages, {len(caught)} warnings")
    sys.exit(bool(caught))
