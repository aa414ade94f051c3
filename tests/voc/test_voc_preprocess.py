import numpy as np
import pytest
from PIL import Image

from tinysegrank.errors import ConfigError, ShapeError
from tinysegrank.voc import CAFFE, TORCHVISION, Preprocessing

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 62, 3), dtype=np.uint8)


def test_caffe_input_channel_by_channel():
    prepared = CAFFE.apply(IMAGE)
    assert prepared.shape == (3, 227, 227) and prepared.dtype == np.float32 and prepared.flags.c_contiguous
    for channel, (name, mean) in enumerate(zip("BGR", (104.007, 116.669, 122.679), strict=True)):
        plane = Image.fromarray(IMAGE[..., "RGB".index(name)]).resize((227, 227), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(prepared[channel], np.asarray(plane) - mean, atol=1e-5)


def test_torchvision_input_as_its_documentation_says():
    same_size = IMAGE[:40, :40]
    prepared = Preprocessing(40, TORCHVISION.mean, TORCHVISION.std, TORCHVISION.scale, "RGB").apply(same_size)
    expected = (same_size / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    np.testing.assert_allclose(prepared, expected.transpose(2, 0, 1), atol=1e-6)


def test_an_image_of_the_right_size_is_not_resampled():
    image = np.random.default_rng(1).integers(0, 256, (227, 227, 3), dtype=np.uint8)
    back = CAFFE.apply(image).transpose(1, 2, 0)[..., ::-1] + np.array([122.679, 116.669, 104.007])
    np.testing.assert_array_equal(np.rint(back), image)


def test_the_whole_image_is_kept_under_the_warp():
    image = np.zeros((300, 100, 3), np.uint8)
    image[150:] = 255  # the lower half stays the lower half
    warped = Preprocessing(60, (0, 0, 0), (1, 1, 1)).apply(image)
    assert (warped[:, :29] == 0).all() and (warped[:, 31:] == 255).all()


def test_mirroring_the_input_is_mirroring_the_image_to_a_grey_level():
    mirrored = CAFFE.apply(IMAGE[:, ::-1])
    assert np.abs(mirrored - CAFFE.apply(IMAGE)[:, :, ::-1]).max() <= 1.001


@pytest.mark.parametrize(
    "image", [IMAGE[..., 0], IMAGE.astype(np.float32), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8)]
)
def test_only_rgb_images_are_taken(image):
    with pytest.raises(ShapeError, match="pass \\(H, W, 3\\) uint8 RGB"):
        CAFFE.apply(image)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": 0}, "size"),
        ({"channel_order": "GBR"}, "channel_order"),
        ({"std": (1, 0, 1)}, "std"),
        ({"mean": (1, 2)}, "mean"),
        ({"scale": 0}, "scale"),
    ],
)
def test_bad_options_are_named(options, named):
    with pytest.raises(ConfigError, match=named):
        Preprocessing(**options)
