"""Let the signals that end a command raise an exception, so that it ends in order: first its workers, then its lock."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Interrupted(KeyboardInterrupt):
    """Raised when a signal ends the command; the argument is the signal's number.

    It isn't a plain KeyboardInterrupt: if one passes through a call of `exec`, Python kills its process at the end.
    """


@contextmanager
def interrupts() -> Iterator[None]:
    """Make SIGINT, SIGTERM and SIGHUP, the signal of a closed terminal, raise Interrupted inside the block.

    Signals that are ignored, or have handlers of their own, stay so. A signal within a second of another does nothing.
    In a thread other than the main one, no handler changes.
    """
    last, by, hook = -math.inf, 0, sys.unraisablehook

    def interrupt(number: int, frame: object) -> None:  # noqa: ARG001
        nonlocal last, by
        before, last, by = last, time.monotonic(), number
        if last - before > 1:  # shells repeat SIGHUP, which must not interrupt the ending of the worker processes
            raise Interrupted(number)

    def repeat(ignored: Any) -> None:
        nonlocal last
        if isinstance(ignored.exc_value, Interrupted):  # it was raised in a destructor or the like, and lost
            last = -math.inf
            main = threading.main_thread().ident or 0  # to it, so that what it waits for is interrupted
            send = partial(signal.pthread_kill, main) if hasattr(signal, "pthread_kill") else signal.raise_signal
            threading.Timer(0.1, send, ignored.exc_value.args).start()
        else:
            hook(ignored)

    handlers = {}
    if threading.current_thread() is threading.main_thread():  # in others, handlers cannot be set
        known = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        handlers = {number: before for number in known if (before := signal.getsignal(number)) in _DEFAULTS}
    for number in handlers:  # not those that nohup ignores
        signal.signal(number, interrupt)
    sys.unraisablehook = repeat
    try:
        yield
    except Exception as error:
        if by:  # what was interrupted then failed: it wrote to its closed terminal, say
            raise Interrupted(by) from error
        raise
    finally:
        sys.unraisablehook = hook
        for number, before in handlers.items():
            signal.signal(number, before)
