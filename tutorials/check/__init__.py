"""Checks of the pages' exercises: `check.exercise_3_2(my_pool, my_pool_backward)` says where an answer is wrong."""

import importlib
import pkgutil

from check.compare import AnswerError

__all__ = ["AnswerError"]
for _found in pkgutil.iter_modules(__path__):  # page_00 and so on, each with the exercises of a page
    if _found.name.startswith("page_"):
        _page = vars(importlib.import_module(f"check.{_found.name}"))
        _exercises = {name: value for name, value in _page.items() if name.startswith("exercise_")}
        globals().update(_exercises)
        __all__ += _exercises
