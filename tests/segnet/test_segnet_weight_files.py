"""Weights from every kind of file, against torch, which wrote them; and files that are something else."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.segnet.segnet_toys import write_caffemodel
from tinysegrank.errors import WeightsError
from tinysegrank.ranking import load_fully_connected
from tinysegrank.segnet import PRESETS, SegNet, presets_of, read_weights
from tinysegrank.segnet.torch_checkpoint import read_torch

torch = pytest.importorskip("torch", reason="torch, which writes checkpoints, is not installed")
NAMES = {"features.0": "conv1", "features.3": "conv2", "features.6": "conv3", "features.8": "conv4"} | {
    "features.10": "conv5"
}


def torchvision_features() -> Any:
    """torchvision's alexnet().features, written down from its paper and page."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


@pytest.fixture(scope="module")
def alexnet() -> Any:
    torch.manual_seed(0)
    return torch.nn.ModuleDict({"features": torchvision_features()})


def save(path: Path, content: object, **options: object) -> Path:
    torch.save(content, path, **options)
    return path


def written(path: Path, alexnet: Any, kind: str) -> Path:
    """The same state dict in one of the forms that people keep it in."""
    state = alexnet.state_dict()
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    ours = {f"{NAMES[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}": array for name, array in arrays.items()}
    if kind == "state dict":
        return save(path, state)
    if kind == "training checkpoint":
        named = {f"module.{name}": torch.nn.Parameter(tensor) for name, tensor in state.items()}
        return save(path, {"epoch": 90, "lr": 0.1, "arch": "alexnet", "state_dict": named, "tuple": (1, None, [True])})
    if kind == "safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    elif kind == "npz":
        np.savez(path, **arrays)
        path.with_name(f"{path.name}.npz").rename(path)
    elif kind == "npz by our names":
        np.savez_compressed(path, **ours)
        path.with_name(f"{path.name}.npz").rename(path)
    else:
        write_caffemodel(path, ours)
    return path


@pytest.mark.parametrize(
    "kind", ["state dict", "training checkpoint", "safetensors", "npz", "npz by our names", "caffemodel"]
)
def test_every_kind_of_file_gives_torchs_features(tmp_path: Path, alexnet: Any, kind: str) -> None:
    model = SegNet(4, "torchvision")
    model.load_weights(written(tmp_path / "weights", alexnet, kind))
    photograph = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    prepared = ((torch.from_numpy(photograph) / 255 - mean) / deviation).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = alexnet["features"](prepared).numpy()
    found = model.features(model.preset.preprocessing.apply(photograph)[None])
    assert found.shape == expected.shape == (1, 256, 13, 13)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"])
def test_tensors_of_every_dtype_and_layout(tmp_path: Path, dtype: str) -> None:
    whole = torch.arange(120).reshape(2, 3, 4, 5).to(getattr(torch, dtype))
    tensors = {
        "whole": whole,
        "view": whole[1:, :, ::2, 1:3],
        "turned": whole.permute(3, 1, 0, 2),
        "scalar": whole[1, 1, 1, 1],
        "empty": whole[:, :0],
    }
    found = read_torch(save(tmp_path / "file.pth", tensors))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), strict=True)


def test_a_file_of_another_preset_names_it(tmp_path: Path, alexnet: Any) -> None:
    path = written(tmp_path / "weights", alexnet, "state dict")
    said = r"weights: conv1.weight is \(64, 3, 11, 11\), but .* this is a torch checkpoint; use --preset torchvision$"
    with pytest.raises(WeightsError, match=said):
        SegNet(4, "alexnet").load_weights(path)
    caffe = SegNet(4, "caffenet")
    write_caffemodel(path, {name: np.asarray(array) for name, array in caffe.trunk.parameters.items()})
    with pytest.raises(WeightsError, match=r"this is a \.caffemodel; use --preset alexnet or caffenet$"):
        SegNet(4, "torchvision").load_weights(path)
    assert presets_of(read_weights(path).arrays) == ["alexnet", "caffenet"]


def test_a_layer_of_another_shape_fits_no_preset(tmp_path: Path) -> None:
    arrays = {name: np.asarray(array) for name, array in SegNet(4, "torchvision").trunk.parameters.items()}
    np.savez(tmp_path / "net.npz", **(arrays | {"conv3.bias": np.zeros(385, np.float32)}))
    with pytest.raises(
        WeightsError, match=r"conv3.bias is \(385,\).*\(384,\); this is a .npz file of another network$"
    ):
        SegNet(4, "torchvision").load_weights(tmp_path / "net.npz")
    del arrays["conv2.bias"]
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(WeightsError, match=r"has no conv2.bias; it holds conv1.weight, conv1.bias, conv2.weight"):
        SegNet(4, "torchvision").load_weights(tmp_path / "net.npz")
    np.savez(tmp_path / "net.npz", **(arrays | {"conv2.bias": np.full(192, 1e300)}))
    with pytest.raises(WeightsError, match=r"conv2.bias holds NaN or infinity"):
        SegNet(4, "torchvision").load_weights(tmp_path / "net.npz")


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_own_shapes_are_recognised(name: str) -> None:
    assert name in presets_of({key: np.asarray(a) for key, a in SegNet(4, name).trunk.parameters.items()})


def test_fc6_and_fc7_have_torchvisions_names_too(tmp_path: Path, rng: np.random.Generator) -> None:
    layers = {"fc6.weight": (5, 72), "fc6.bias": (5,), "fc7.weight": (5, 5), "fc7.bias": (5,)}
    ours = {name: rng.standard_normal(shape, np.float32) for name, shape in layers.items()}
    renamed = {"fc6": "classifier.1", "fc7": "classifier.4"}
    theirs = {name.replace(name[:3], renamed[name[:3]]): torch.from_numpy(array) for name, array in ours.items()}
    network = load_fully_connected(save(tmp_path / "net.pth", theirs))
    assert network is not None
    features = rng.random((2, 2, 13, 13), np.float32)
    pooled = torch.nn.functional.max_pool2d(torch.from_numpy(features), 3, 2).flatten(1)
    hidden = torch.relu(torch.nn.functional.linear(pooled, theirs["classifier.1.weight"], theirs["classifier.1.bias"]))
    last = torch.relu(torch.nn.functional.linear(hidden, theirs["classifier.4.weight"], theirs["classifier.4.bias"]))
    np.testing.assert_allclose(network(features), last.numpy(), rtol=1e-4, atol=1e-5)


# What is not read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"", "is empty; give a "),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "is an HDF5 file"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer: run `git lfs pull`"),
        (b'name: "AlexNet"\nlayer {', "perhaps a .prototxt"),
        (b"\x1f\x8b\x08" + bytes(20), "is a gzip archive"),
        (b"PK\3\4" + bytes(40), "is a damaged zip file"),
        (b"\xff" * 40, r"is not a complete \.caffemodel"),
        (struct.pack("<Q", 4) + b"{no}" + bytes(9), "is damaged"),
    ],
)
def test_what_the_file_is_instead(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "weights").write_bytes(content)
    with pytest.raises(WeightsError, match=f"weights: .*{said}"):
        read_weights(tmp_path / "weights")


def test_missing_files_folders_and_other_archives(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere: cannot be read: No such file or directory; check the path"):
        read_weights(tmp_path / "nowhere")
    with pytest.raises(WeightsError, match="Is a directory"):
        read_weights(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("photo.jpg", b"")
    with pytest.raises(WeightsError, match="a zip archive without arrays"):
        read_weights(tmp_path / "a.zip")


def test_a_checkpoint_of_old_torch_and_a_whole_model(tmp_path: Path, alexnet: Any) -> None:
    old = save(tmp_path / "old.pth", alexnet.state_dict(), _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match=r"from before torch 1\.6"):
        read_weights(old)
    with pytest.raises(WeightsError, match=r"asks for torch\.nn\..*save the state dict alone"):
        read_weights(save(tmp_path / "model.pth", alexnet))
    with pytest.raises(WeightsError, match="holds no named tensors"):
        read_weights(save(tmp_path / "list.pth", [torch.zeros(3)]))


class Evil:
    """Pickled, it is a call; loaded by pickle, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def archive_of(path: Path, pickled: bytes, storage: bytes = b"", compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/data/0", storage)
    return path


def test_no_code_of_the_file_is_run(tmp_path: Path) -> None:
    pickled = pickle.dumps({"conv1.weight": Evil(tmp_path / "touched")}, protocol=2)
    pickle.loads(pickled)
    (tmp_path / "touched").unlink()  # so it would have been
    for content in (pickled, pickle.dumps(OrderedDict(a=eval)), b"cos\nsystem\n(S'touch x'\ntR."):
        with pytest.raises(WeightsError, match=r"cannot be read as a torch checkpoint .*which isn't a tensor"):
            read_weights(archive_of(tmp_path / "evil.pth", content))
    assert not (tmp_path / "touched").exists()


class _Storage:
    def __init__(self, count: int) -> None:
        self.count = count


class _Pickler(pickle.Pickler):
    """Writes tensors as torch does, with any numbers."""

    def persistent_id(self, item: object) -> object:
        return ("storage", torch.FloatStorage, "0", "cpu", item.count) if isinstance(item, _Storage) else None


class _Tensor:
    def __init__(self, *arguments: object) -> None:
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return (torch._utils._rebuild_tensor_v2, (*self.arguments, False, OrderedDict()))


def pickled_tensor(count: int, offset: object, size: object, stride: object) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, protocol=2).dump({"a": _Tensor(_Storage(count), offset, size, stride)})
    return stream.getvalue()


def test_tensors_beyond_their_numbers_are_refused(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype="<f4")
    good = archive_of(tmp_path / "good.pth", pickled_tensor(6, 0, (2, 3), (3, 1)), numbers.tobytes())
    np.testing.assert_array_equal(read_torch(good)["a"], numbers.reshape(2, 3), strict=True)
    for case in (
        (6, 1, (2, 3), (3, 1)),
        (6, 0, (2, 3), (4, 1)),
        (6, -1, (2,), (1,)),
        (6, 3, (2,), (-1,)),
        (6, 0, (10**15,), (0,)),
        (6, 0, (2.0,), (1,)),
        (6, 0, (2,), (1, 1)),
        (7, 0, (2,), (1,)),
        (6, 7, (), ()),
    ):
        path = archive_of(tmp_path / "bad.pth", pickled_tensor(*case), numbers.tobytes())
        with pytest.raises(WeightsError, match=r"bad\.pth: cannot be read as a torch checkpoint"):
            read_torch(path)
    path = archive_of(tmp_path / "bad.pth", pickled_tensor(6, 0, (6,), (1,)), numbers.tobytes(), zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="storage 0 is compressed"):
        read_torch(path)


def test_every_cut_of_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    whole = save(tmp_path / "file.pth", {"a": torch.ones(3)}).read_bytes()
    for length in range(4, len(whole), 97):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"cut\.pth"):
            read_weights(tmp_path / "cut.pth")
    flipped = np.random.default_rng(0)
    for _ in range(150):  # any damage is an error of ours, or leaves an array
        damaged = bytearray(whole)
        damaged[flipped.integers(len(whole))] ^= 1 << int(flipped.integers(8))
        (tmp_path / "bent.pth").write_bytes(damaged)
        with contextlib.suppress(WeightsError):
            assert all(isinstance(array, np.ndarray) for array in read_weights(tmp_path / "bent.pth").arrays.values())
