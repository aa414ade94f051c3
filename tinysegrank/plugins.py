"""Modules from outside the package that add losses, blocks of features, rankers, ... to its tables."""

from __future__ import annotations

import os
from importlib import import_module

from tinysegrank.errors import ConfigError

VARIABLE = "TINYSEGRANK_PLUGINS"


def load_plugins() -> tuple[str, ...]:
    """Import the modules that TINYSEGRANK_PLUGINS names, separated by commas, and return their names.

    Every command and every worker process calls this, so that all have the same tables.

    Raises:
        ConfigError: a module cannot be imported.
    """
    value = os.environ.get(VARIABLE, "")
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    for name in names:
        try:
            import_module(name)
        except (ImportError, TypeError) as error:  # TypeError: a relative name
            todo = "install it, or name its folder in PYTHONPATH"
            raise ConfigError(f"{VARIABLE}={value}: cannot import {name} ({error}); {todo}") from error
    return names
