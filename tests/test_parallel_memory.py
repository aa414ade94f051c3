"""Freed memory is kept: a large array that is made again takes no page from the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from tinysegrank.parallel import keep_freed_memory, parallel_map

pytestmark = pytest.mark.slow


def grow(megabytes: int) -> int:
    """Make and free an array, slowly enough for the memory to be looked at."""
    np.ones(megabytes * 2**17)
    time.sleep(1.1)
    return os.getpid()


SCRIPT = """
import resource
import numpy as np
from tinysegrank.parallel import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(4_000_000, np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = faults()
keep_freed_memory()
np.ones(4_000_000, np.float32)
print(plain, faults())
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="the C library is not GNU's: it cannot be told to keep memory")
def test_no_page_is_taken_again():
    out = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
    plain, kept = map(int, out.split())
    assert plain > 100
    assert kept < plain / 10


def test_a_worker_that_keeps_memory_is_not_taken_to_leak():
    pytest.importorskip("psutil", reason="without psutil joblib does not look at the memory of workers")
    processes = list(parallel_map(grow, [1, 1, 500, 500, 1, 1], jobs=2))  # a warning would be an error
    assert len(set(processes)) == 2
