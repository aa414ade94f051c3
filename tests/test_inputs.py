"""Paths that a command is given: every failure of the system is the library's own error."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinysegrank import inputs
from tinysegrank.errors import CheckpointError, DatasetError, WeightsError

TOO_LONG = Path("a" * 300)


def test_a_path_that_the_system_refuses(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (TOO_LONG, tmp_path / "loop" / "inner"):
        for check, error in (
            (inputs.check_run, CheckpointError),
            (inputs.check_data, DatasetError),
            (inputs.check_label_maps, DatasetError),
            (inputs.check_weight_file, WeightsError),
            (lambda path: inputs.find_photographs([path]), DatasetError),
        ):
            with pytest.raises(error):
                check(path)


def test_weights_are_a_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Is a directory; give a file"):
        inputs.check_weight_file(tmp_path)
