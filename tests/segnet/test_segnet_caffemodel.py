"""The reader of .caffemodel files against files written by hand, by Google's protobuf, and by Caffe."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tests.segnet.segnet_toys import UNKNOWN, blob, layer, tagged, thin_model, write_caffemodel
from tinysegrank.errors import WeightsError
from tinysegrank.segnet import SegNet, read_caffemodel, read_weights

floats = st.floats(width=32, allow_nan=False)
weights = arrays(np.float32, array_shapes(min_dims=1, max_dims=4, max_side=4), elements=floats)
names = st.text(st.characters(codec="utf-8"), max_size=8)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caffemodel") / "net.caffemodel"


def read(path: Path, content: bytes) -> dict[str, np.ndarray]:
    path.write_bytes(content)
    return read_caffemodel(path)


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array, strict=True)


# What is read --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("unknown", [(), UNKNOWN])
def test_both_dialects(
    path: Path, rng: np.random.Generator, old: bool, packed: bool, legacy: bool, unknown: tuple[bytes, ...]
) -> None:
    expected = {
        "conv1.weight": rng.standard_normal((4, 3, 2, 5), np.float32),
        "conv1.bias": rng.standard_normal(4, np.float32),
        "conv2.weight": rng.standard_normal((130, 1, 1, 1), np.float32),  # a size that takes two bytes
        "conv2.bias": rng.standard_normal(130, np.float32),
    }
    options = {"packed": packed, "legacy": legacy, "unknown": unknown}
    layers = [
        layer(
            name, [blob(expected[f"{name}.{kind}"], **options) for kind in ("weight", "bias")], old=old, unknown=unknown
        )
        for name in ("conv1", "conv2")
    ]
    without_blobs = layer("relu1", [], old=old)
    content = b"".join([tagged(1, b"net"), *unknown, layers[0], without_blobs, layers[1], *unknown])
    assert_same(read(path, content), expected)


def test_weight_without_bias_and_surplus_blobs(path: Path) -> None:
    """A scale layer may have no bias, and batch normalisation has three blobs."""
    one, two, three = (blob(np.full((2, 3), value, np.float32)) for value in (1, 2, 3))
    found = read(path, layer("plain", [one]) + layer("norm", [one, two, three]))
    expected = {"plain.weight": np.ones((2, 3)), "norm.weight": np.ones((2, 3)), "norm.bias": np.full(6, 2.0)}
    assert_same(found, {name: array.astype(np.float32) for name, array in expected.items()})


def test_large_blobs(path: Path, rng: np.random.Generator) -> None:
    """Sizes and lengths of three and four bytes."""
    weight, bias = rng.standard_normal((17_000, 40), np.float32), rng.standard_normal(17_000, np.float32)
    content = layer("fc", [blob(weight), blob(bias, packed=False)])
    assert_same(read(path, content), {"fc.weight": weight, "fc.bias": bias})


def test_what_is_read_can_be_written_to(path: Path) -> None:
    found = read(path, layer("conv1", [blob(np.ones((2, 3)))]))
    found["conv1.weight"] += 1


@given(weight=weights, bias=weights, name=names, old=st.booleans(), packed=st.booleans(), legacy=st.booleans())
def test_round_trip(
    path: Path, weight: np.ndarray, bias: np.ndarray, name: str, old: bool, packed: bool, legacy: bool
) -> None:
    content = layer(name, [blob(array, packed=packed, legacy=legacy) for array in (weight, bias)], old=old)
    shape = (1,) * (4 - weight.ndim) + weight.shape if legacy else weight.shape
    assert_same(read(path, content), {f"{name}.weight": weight.reshape(shape), f"{name}.bias": bias.ravel()})


# Against protobuf ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def caffe() -> SimpleNamespace:
    """The messages of caffe.proto that matter, as classes of Google's protobuf."""
    reason = "Google's protobuf, an independent implementation of the format, is not installed"
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2", reason=reason)
    from google.protobuf import descriptor_pool, message_factory

    kinds = {"float": 2, "int64": 3, "int32": 5, "string": 9}  # FieldDescriptorProto.Type
    messages = {
        "BlobShape": {"dim": (1, "int64", "packed")},
        "BlobProto": {
            **{name: (number, "int32", "") for number, name in enumerate(("num", "channels", "height", "width"), 1)},
            "data": (5, "float", "packed"),
            "shape": (7, "BlobShape", ""),
        },
        "V1LayerParameter": {"name": (4, "string", ""), "type": (5, "int32", ""), "blobs": (6, "BlobProto", "many")},
        "LayerParameter": {"name": (1, "string", ""), "type": (2, "string", ""), "blobs": (7, "BlobProto", "many")},
        "NetParameter": {
            "name": (1, "string", ""),
            "layers": (2, "V1LayerParameter", "many"),
            "layer": (100, "LayerParameter", "many"),
        },
    }
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for name, (number, kind, repeated) in fields.items():
            field = described.field.add(name=name, number=number, label=3 if repeated else 1)
            field.type = kinds.get(kind, 11)
            if kind not in kinds:
                field.type_name = f".caffe.{kind}"
            field.options.packed = repeated == "packed"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return SimpleNamespace(
        **{name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in messages}
    )


def by_protobuf(caffe: SimpleNamespace, content: bytes) -> dict[str, np.ndarray]:
    net, found = caffe.NetParameter.FromString(content), {}
    for each in [*net.layers, *net.layer]:
        for kind, message in zip(("weight", "bias"), each.blobs, strict=False):
            legacy = (message.num, message.channels, message.height, message.width)
            shape = tuple(message.shape.dim) if message.HasField("shape") else legacy
            array = np.array(message.data, np.float32).reshape(shape)
            found[f"{each.name}.{kind}"] = array.ravel() if kind == "bias" else array
    return found


@given(weight=weights, bias=weights, old=st.booleans(), legacy=st.booleans())
def test_written_by_protobuf(
    path: Path, caffe: SimpleNamespace, weight: np.ndarray, bias: np.ndarray, old: bool, legacy: bool
) -> None:
    net = caffe.NetParameter(name="net")
    each = (net.layers if old else net.layer).add(name="conv", type=4 if old else "Convolution")
    for array in (weight, bias):
        message: Any = each.blobs.add(data=array.ravel().tolist())
        if legacy:
            sizes = (1,) * (4 - array.ndim) + array.shape
            message.num, message.channels, message.height, message.width = sizes
        else:
            message.shape.dim.extend(array.shape)
    content = net.SerializeToString()
    assert_same(read(path, content), by_protobuf(caffe, content))


def test_protobuf_reads_what_the_tests_write(caffe: SimpleNamespace, rng: np.random.Generator, tmp_path: Path) -> None:
    expected = {"a.weight": rng.standard_normal((2, 3, 1, 4), np.float32), "a.bias": np.zeros(300, np.float32)}
    for packed in (True, False):
        file = write_caffemodel(tmp_path / "net", expected, packed=packed)
        assert_same(by_protobuf(caffe, file.read_bytes()), expected)


@pytest.mark.voc
def test_real_file(caffe: SimpleNamespace, alexnet_weights: Path) -> None:
    """Against protobuf, and where they lie beside it, against the same arrays in NumPy's own format."""
    found = read_caffemodel(alexnet_weights)
    assert_same(found, by_protobuf(caffe, alexnet_weights.read_bytes()))
    if (beside := alexnet_weights.with_suffix(".npz")).is_file():
        with np.load(beside) as expected:
            assert_same(found, dict(expected))


# What is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_cut_off_anywhere(path: Path, old: bool, legacy: bool, packed: bool) -> None:
    """Cut between two layers, what is left is a smaller net; anywhere else it is damaged."""
    arrays = {"first": np.arange(6.0).reshape(1, 2, 1, 3), "second": np.arange(4.0).reshape(2, 2, 1, 1)}
    options = {"packed": packed, "legacy": legacy}
    layers = [layer(name, [blob(a, **options), blob(a[0, 0, 0], **options)], old=old) for name, a in arrays.items()]
    whole = b"".join(layers)
    for length in range(len(whole)):
        if length == len(layers[0]):
            assert read(path, whole[:length]).keys() == {"first.weight", "first.bias"}
        else:
            with pytest.raises(WeightsError, match=r"net\.caffemodel"):
                read(path, whole[:length])


@given(content=st.binary(max_size=300))
def test_random_bytes(path: Path, content: bytes) -> None:
    try:
        found = read(path, content)
    except WeightsError:
        return
    assert all(array.dtype == np.float32 for array in found.values())


@given(data=st.data())
def test_spoilt_bytes(path: Path, data: st.DataObject) -> None:
    content = bytearray(layer("conv", [blob(np.ones((2, 3, 1, 1))), blob(np.ones(2), legacy=True)], old=True))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(path, bytes(content))
    except WeightsError:
        return
    assert all(array.dtype == np.float32 for array in found.values())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        tagged(1, b"a solver state has a name and no layer"),
        layer("conv1", []),
        layer("conv1", [blob(np.ones((2, 2)))[:-1]]),
        layer("conv1", [tagged(5, b"12345") + tagged(7, tagged(1, 1))]),  # no whole number of floats
        layer("conv1", [tagged(5, b"1234") + tagged(7, tagged(1, 2))]),  # one float for two places
        layer("conv1", [tagged(5, b"1234") + tagged(7, tagged(1, 2**64 - 1))]),  # the size -1
        tagged(100, tagged(1, b"\xff\xfe") + tagged(7, blob(np.ones(1)))),  # a name that is not UTF-8
        b"\x80" * 10 + b"\x01\x00" + layer("conv1", [blob(np.ones(1))]),  # a number of more than 64 bits
        b"\x83\x06",  # a group, which Caffe does not use
    ],
)
def test_no_whole_file(path: Path, content: bytes) -> None:
    with pytest.raises(WeightsError, match=r"net\.caffemodel"):
        read(path, content)


@pytest.mark.parametrize("name", ["missing.caffemodel", "."])
def test_no_file(tmp_path: Path, name: str) -> None:
    for reader in (read_caffemodel, read_weights):  # each with one remedy
        with pytest.raises(WeightsError, match=r"cannot be read: [\w ]+; (check the path|give a file)$"):
            reader(tmp_path / name)


# Into the network ----------------------------------------------------------------------------------------------------


def drawn_like(model: SegNet, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(array.shape, np.float32) for name, array in model.trunk.parameters.items()}


def test_load(tmp_path: Path, rng: np.random.Generator) -> None:
    model = thin_model()
    expected = drawn_like(model, rng)
    head = {name: array.copy() for name, array in model.head.parameters.items()}
    fc = {"fc6.weight": np.ones((1, 1, 3, 2)), "fc6.bias": np.ones(3)}
    model.load_weights(write_caffemodel(tmp_path / "net", expected | fc, old=True, legacy=True))
    assert_same(model.trunk.parameters, expected)
    assert_same(model.head.parameters, head)


def test_load_refuses_a_missing_layer(tmp_path: Path, rng: np.random.Generator) -> None:
    model = thin_model()
    expected = {name: array for name, array in drawn_like(model, rng).items() if not name.startswith("conv4")}
    before = dict(model.parameters)
    with pytest.raises(WeightsError, match=r"small.caffemodel: has no conv4.weight; it holds conv1.weight"):
        model.load_weights(write_caffemodel(tmp_path / "small.caffemodel", expected))
    assert all(model.parameters[name] is array for name, array in before.items())


def test_load_refuses_other_shapes(tmp_path: Path, rng: np.random.Generator) -> None:
    model = thin_model()
    arrays = drawn_like(model, rng) | {"conv3.weight": np.zeros((8, 6, 5, 5))}
    before = dict(model.parameters)
    with pytest.raises(WeightsError, match=r"other.caffemodel: conv3.weight is \(8, 6, 5, 5\).*thin.*\(8, 6, 3, 3\)"):
        model.load_weights(write_caffemodel(tmp_path / "other.caffemodel", arrays))
    assert all(model.parameters[name] is array for name, array in before.items())


def test_load_refuses_another_kind_of_file(tmp_path: Path) -> None:
    model = thin_model()
    np.save(tmp_path / "weights.npy", model.parameters["conv1.weight"])
    with pytest.raises(WeightsError, match=r"weights.npy"):
        model.load_weights(tmp_path / "weights.npy")


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("conv2.weight", np.nan, "conv2.weight holds NaN or infinity"),
        ("conv4.bias", np.inf, "conv4.bias holds NaN or infinity"),
        ("conv3.weight", 0.0, "conv3.weight is 0 everywhere"),
    ],
)
def test_load_refuses_numbers_that_cannot_be_right(
    tmp_path: Path, rng: np.random.Generator, name: str, value: float, fault: str
) -> None:
    model = thin_model()
    arrays = drawn_like(model, rng)
    if value == 0:
        arrays[name][...] = 0
    else:
        arrays[name].flat[-1] = value
    before = dict(model.parameters)
    with pytest.raises(WeightsError, match=rf"spoilt.caffemodel: {fault}; download the file again"):
        model.load_weights(write_caffemodel(tmp_path / "spoilt.caffemodel", arrays))
    assert all(model.parameters[name] is array for name, array in before.items())


def test_biases_of_0_and_layers_passed_over_may_be_anything(tmp_path: Path, rng: np.random.Generator) -> None:
    model = thin_model()
    arrays = {name: array * ("bias" not in name) for name, array in drawn_like(model, rng).items()}
    unused = {"fc6.weight": np.full((1, 1, 3, 2), np.nan), "fc6.bias": np.zeros(3)}
    model.load_weights(write_caffemodel(tmp_path / "net", arrays | unused))
    assert_same(model.trunk.parameters, arrays)
