"""Try an installed tinysegrank: its commands, the layers with and without their Numba versions, and SLIC.

Usage: python -P .ci/smoke.py, with the Python of the environment to try.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tinysegrank import losses, nn
from tinysegrank.superpixels import slic
from tinysegrank.voc import VOCSegmentation, write_labels

COMMAND = Path(sys.executable).with_name("tinysegrank")


def call(*arguments, status=0):
    """Run the command and return what it printed; it must end with this status and without a traceback."""
    done = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == status and "Traceback" not in printed, (arguments, done.returncode, printed)
    return printed


def try_commands(folder):
    """Call what needs no training, on a toy VOC."""
    assert "run" in call("--help") and "--voc" in call("run", "--help")
    assert np.__version__ in call("doctor")
    assert "Missing argument" in call("evaluate", status=2)
    call("toyvoc", folder / "voc", "--train", 4, "--val", 2, "--jobs", 2)
    split = VOCSegmentation(folder / "voc", "val")
    for i, name in enumerate(split.names):
        labels = split.labels(i)
        write_labels(folder / "truth" / f"{name}.png", np.where(labels == 255, 0, labels).astype(np.uint8))
    assert "100.0" in call("evaluate", folder / "truth", "--voc", folder / "voc", "--jobs", 2)
    superpixels = slic(split.image(0), segments=50)
    assert superpixels.shape == split.labels(0).shape and len(np.unique(superpixels)) == superpixels.max() + 1 > 10


def layers():
    """Return the activations and gradients of a small network and its loss, in float32."""
    rng = np.random.default_rng(0)
    x, weight, bias, target, cells = (
        rng.random(shape, np.float32) for shape in [(2, 3, 15, 15), (21, 3, 5, 5), (21,), (2, 21, 7, 7), (2, 7, 7)]
    )
    y, conv = nn.conv2d(x, weight, bias, padding=2)
    r, relu = nn.relu(y)
    n, norm = nn.local_response_norm(r)
    z, pool = nn.max_pool2d(n)
    value, g = losses.soft_cross_entropy(z, target / target.sum(axis=1, keepdims=True), cells)
    g = nn.local_response_norm_backward(nn.max_pool2d_backward(g, pool), norm)
    return [y, n, z, value, *nn.conv2d_backward(nn.relu_backward(g, relu), conv)]


def try_layers():
    """Compare the Numba versions with the readable functions."""
    os.environ["TINYSEGRANK_ACCELERATE"] = "1"
    fast = layers()
    os.environ["TINYSEGRANK_ACCELERATE"] = "0"
    for found, expected in zip(fast, layers(), strict=True):
        assert found.dtype == np.float32 and np.any(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.max(np.abs(expected)))


if __name__ == "__main__":  # worker processes import this file
    try_layers()
    with tempfile.TemporaryDirectory() as made:
        try_commands(Path(made))
    print(f"smoke test passed: {COMMAND}")
