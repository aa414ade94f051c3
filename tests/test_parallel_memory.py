"""Freed memory is kept: a large array that is made again takes no page from the kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tinysegrank.parallel import keep_freed_memory

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
