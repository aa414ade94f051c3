"""Steps that read a table of all images hold one copy of it, or none: the short form of `size.py`."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tracemalloc

import pytest

from tests.conftest import tiny_settings
from tests.reliability.size import CLASSES, PROPOSALS, SEGMENT_ROWS, STEPS, SUPERPIXELS, Shape, table_of
from tinysegrank.config import to_toml
from tinysegrank.voc import make_toy_voc

SHAPE = Shape(features=(100, 300), segments=256, superpixels=128, descriptors=2048)
ALLOWED = {  # bytes per image: what the step has to hold, and half as much again
    "ranker": 1.5 * PROPOSALS * 400 * 4,
    "evidence": 1.5 * PROPOSALS * CLASSES**2 * 4,
    "regressors": 1.5 * SEGMENT_ROWS * ((CLASSES - 1) * (3 * 4 + 8 + 4) + 5 * 8),
    "superpixels": 1.5 * (SUPERPIXELS * 8 * 8 + 2 * 2 * 128 * 4),
    "classifiers": 1.5 * 2 * 2048 * (4 + 8),
}
SIZES = (60, 180)


@pytest.mark.slow
@pytest.mark.parametrize("name", STEPS)
def test_memory_per_image(name, tmp_path, monkeypatch):
    monkeypatch.setattr("tinysegrank.stored_rows.row_blocks.__defaults__", (512,))  # small beside the tables
    monkeypatch.setattr("tinysegrank.proposals.o2p.support_vectors._ROWS", 512)
    monkeypatch.setattr("tinysegrank.proposals.crf.unary.BLOCK", 512)
    monkeypatch.setattr("tinysegrank.ranking.estimator._BLOCK", 512)
    monkeypatch.setattr("tinysegrank.proposals.crf.unary._FRACTIONS", 512)
    peaks = []
    for images in SIZES:
        (tmp_path / f"{images}").mkdir()
        work = STEPS[name](tmp_path / f"{images}", images, 1, SHAPE)
        if not peaks:
            work()  # imports and compiles
        tracemalloc.start()
        work()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / (SIZES[1] - SIZES[0]) < ALLOWED[name], peaks


def test_what_is_sent_to_workers_does_not_hold_the_features(tmp_path):
    table, confusions = table_of(tmp_path, 100, SHAPE)  # joblib would copy larger arrays to /dev/shm
    assert len(pickle.dumps((table.select(), confusions))) < 500 * 100


@pytest.mark.slow
def test_a_run_needs_few_files_at_once(tmp_path):
    make_toy_voc(tmp_path / "voc", train=10, val=6, seed=5)
    (tmp_path / "settings.toml").write_text(to_toml(tiny_settings(tmp_path / "voc")))
    command = ["run", "--voc", tmp_path / "voc", "--config", tmp_path / "settings.toml", "--out", tmp_path / "run"]

    limited = (  # in the process itself: a fork before it warns where the tests have loaded JAX
        "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); "
        "runpy.run_module('tinysegrank', run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", limited, *map(str, command), "--jobs", "2"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "run" / "report" / "stamp.json").is_file()
