import numpy as np
import pytest

from tinysegrank.errors import CheckpointError
from tinysegrank.files import atomic_write, read_about, read_arrays, read_json, write_arrays, write_json, write_text


def test_a_file_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_text(path, "first")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as stream:
        stream.write(b"second, half")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_arrays_come_back_with_their_dtypes_and_strings(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float16).reshape(2, 3).T, "b/c": np.array(3, np.int64), "d": np.zeros((0, 2))}
    write_arrays(tmp_path / "x.safetensors", arrays, about={"format": "test"})
    back = read_arrays(tmp_path / "x.safetensors")
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
    assert read_about(tmp_path / "x.safetensors") == {"format": "test"}


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "x.safetensors"
    write_arrays(path, {"a": np.arange(100.0)})
    path.write_bytes(path.read_bytes()[:-8])
    for read in (read_arrays, read_about):
        with pytest.raises(CheckpointError, match=r"x\.safetensors: is not a whole safetensors file"):
            read(path)
    with pytest.raises(CheckpointError, match=r"missing\.safetensors"):
        read_arrays(tmp_path / "missing.safetensors")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"x\.json: is damaged"):
        read_json(tmp_path / "x.json")
    with pytest.raises(CheckpointError, match=r"y\.json: cannot be read"):
        read_json(tmp_path / "y.json")


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "x.json", {"é": [1, 2.5, None]})
    assert read_json(tmp_path / "x.json") == {"é": [1, 2.5, None]}
