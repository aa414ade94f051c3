"""A module from outside the package, named in the environment, adds to the tables of every process."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor

from tinysegrank import losses
from tinysegrank.cli import app
from tinysegrank.code_digest import code_digest
from tinysegrank.errors import ConfigError
from tinysegrank.experiment.artifacts import code_of
from tinysegrank.experiment.proposers import ENGINES
from tinysegrank.parallel import parallel_map
from tinysegrank.plugins import VARIABLE, load_plugins
from tinysegrank.ranking import BLOCKS, RANKERS, ImageProposals, describe

BLOCK = """
    import numpy as np
    from tinysegrank.ranking import BLOCKS, Block

    BLOCKS["areas"] = Block(
        lambda classes: [f"area {name}" for name in classes],
        lambda given: np.stack([(given.labels == k).mean(axis=(1, 2)) for k in range(len(given.class_names))], 1),
    )
"""
OTHERS = """
    from tinysegrank import losses
    from tinysegrank.ranking import RANKERS

    losses.TABLE["twice"] = losses.weighted([(2.0, losses.soft_cross_entropy)])
    RANKERS["again"] = RANKERS["all-pairs"]
"""
ENGINE = """
    from tinysegrank.experiment.proposers import ENGINES

    ENGINES["twofold"] = (*ENGINES["crf"], *ENGINES["folder"])
"""
MODULES = {"own_areas": BLOCK, "own_others": OTHERS, "own_engine": ENGINE}
STAGES = ("training", "proposing", "described", "data")
TABLES: tuple[dict[str, Any], ...] = (losses.TABLE, BLOCKS, RANKERS, ENGINES)


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """Write the modules, name them in the environment, and forget them afterwards."""
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    get_reusable_executor().shutdown(wait=True)  # new worker processes get this path too
    before = [dict(table) for table in TABLES]
    monkeypatch.setenv(VARIABLE, ", ".join(MODULES))
    yield tmp_path
    for table, as_it_was in zip(TABLES, before, strict=True):
        table.clear()
        table.update(as_it_was)
    for name in MODULES:
        sys.modules.pop(name, None)


def areas_of(seed: int) -> tuple[int, tuple[str, ...], np.ndarray]:
    rng = np.random.default_rng(seed)
    given = ImageProposals(
        rng.integers(0, 256, (40, 45, 3), dtype=np.uint8),
        rng.dirichlet(np.full(21, 0.2), (13, 13)).astype(np.float32),
        rng.integers(0, 21, (3, 40, 45)),
    )
    return os.getpid(), *describe(given, ["areas"])["areas"]


def names_of(table: int) -> set[str]:
    return set(TABLES[table])


@pytest.mark.slow
def test_worker_processes_know_a_block_from_outside(plugins):
    load_plugins()
    here = list(parallel_map(areas_of, range(4), jobs=1))
    there = list(parallel_map(areas_of, range(4), jobs=2))
    assert os.getpid() not in {process for process, *_ in there}
    for (_, names, values), (_, other_names, other_values) in zip(here, there, strict=True):
        assert names == other_names and names[15] == "area person"
        np.testing.assert_array_equal(values, other_values)
        np.testing.assert_allclose(values.sum(axis=1), 1)


@pytest.mark.slow
def test_all_tables_have_what_was_added_in_every_process(plugins):
    load_plugins()
    added = [{"twice"}, {"areas"}, {"again"}, {"twofold"}]
    for number, names in enumerate(parallel_map(names_of, range(4), jobs=2)):
        assert names == names_of(number) > added[number]


@pytest.mark.slow
def test_a_command_takes_a_setting_from_outside(plugins):
    (plugins / "JPEGImages").mkdir()
    command = [
        sys.executable,
        "-m",
        "tinysegrank",
        "run",
        "--voc",
        str(plugins),
        "--out",
        str(plugins / "run"),
        "--set",
    ]
    paths = os.pathsep.join([str(plugins), *sys.path])
    for value, said in {"areas": "there is no such split", "volumes": "choose"}.items():
        environment = {**os.environ, "PYTHONPATH": paths}
        done = subprocess.run(
            [*command, f'ranking.blocks=["segnet", "{value}"]'],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1 and said in done.stderr, done.stderr


@pytest.mark.slow
def test_code_from_outside_counts_where_it_adds_to_what_is_imported(plugins):
    def digests():
        code_digest.cache_clear()
        importlib.import_module("tinysegrank.code_digest")._read.cache_clear()
        return {name: code_of(f"tinysegrank.experiment.stages.{name}") for name in STAGES}

    changed = {}
    load_plugins()
    before = digests()
    for name in MODULES:
        with (plugins / f"{name}.py").open("a") as file:
            file.write("MORE = 1\n")
        after = digests()
        changed[name] = {stage for stage in after if after[stage] != before[stage]}
        before = after
    assert "described" in changed["own_areas"] and "training" not in changed["own_areas"]
    assert "training" in changed["own_others"]
    assert "proposing" in changed["own_engine"] and not {"training", "data"} & changed["own_engine"]
    assert "data" not in changed["own_areas"] | changed["own_others"]


@pytest.mark.parametrize("name", ["no_such_module", ".relative", "own_areas, no_such_module"])
def test_what_cannot_be_imported_is_one_line(plugins, monkeypatch, name, capsys):
    monkeypatch.setenv(VARIABLE, name)
    with pytest.raises(ConfigError, match=rf"^{VARIABLE}={name}: cannot import .*; install it, or name its folder in"):
        load_plugins()
    with pytest.raises(SystemExit) as end:
        app(["doctor"])
    assert end.value.code == 1 and capsys.readouterr().err.startswith(f"error: {VARIABLE}={name}: ")


def test_nothing_is_named(monkeypatch):
    for value in ("", " , "):
        monkeypatch.setenv(VARIABLE, value)
        assert load_plugins() == ()
