"""Whole-batch augmentation against the same steps done one by one on each image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.functional import normalize

from softshare.data import native_augment
from softshare.data.augment import Augmentation, normalise
from softshare.errors import UserError

MEAN, STD = (0.49, 0.48, 0.45), (0.247, 0.243, 0.262)


def one_by_one(images, augmentation, draws, mean=MEAN, std=STD):
    """Pad, crop, mirror, normalise, cut out: each image by itself, with python's own indices."""
    results = []
    for number, image in enumerate(images):
        _, height, width = image.shape
        pad, mode = augmentation.pad, "constant" if augmentation.padding == "zero" else "reflect"
        padded = torch.nn.functional.pad(image.float()[None], (pad,) * 4, mode)[0].to(torch.uint8)
        top, left = int(draws.tops[number]), int(draws.lefts[number])
        crop = padded[:, top : top + height, left : left + width]
        if draws.flips[number]:
            crop = crop.flip(2)
        centre = (torch.tensor(mean, dtype=torch.float64) * 255).float()[:, None, None]
        scale = (1 / (torch.tensor(std, dtype=torch.float64) * 255)).float()[:, None, None]
        result = (crop.float() - centre) * scale
        side = augmentation.cutout
        row, column = int(draws.centre_rows[number]), int(draws.centre_columns[number])
        for y in range(max(0, row - side // 2), min(height, row - side // 2 + side)):
            for x in range(max(0, column - side // 2), min(width, column - side // 2 + side)):
                result[:, y, x] = 0
        results.append(result)
    return torch.stack(results)


def some_images(count=4, height=12, width=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@given(
    flip=st.booleans(),
    pad=st.integers(0, 6),
    padding=st.sampled_from(["zero", "reflect"]),
    cutout=st.integers(0, 30),
    height=st.integers(7, 12),
    width=st.integers(7, 12),
    channels_last=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_equals_the_steps_one_by_one(flip, pad, padding, cutout, height, width, channels_last, seed):
    images = some_images(4, height, width, seed)
    augmentation = Augmentation(flip, pad, padding, cutout)
    draws = augmentation.draw(4, (height, width), torch.Generator().manual_seed(seed))
    result = augmentation.apply(images, draws, MEAN, STD, channels_last)
    assert torch.equal(result, one_by_one(images, augmentation, draws))
    assert result.dtype == torch.float32
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert result.is_contiguous(memory_format=layout)


def test_at_the_size_of_cifar_with_strided_images():
    images = some_images(16, 32, 32).to(memory_format=torch.channels_last)
    for padding in ("zero", "reflect"):
        augmentation = Augmentation(True, 4, padding, 16)
        draws = augmentation.draw(16, (32, 32), torch.Generator().manual_seed(3))
        before = images.clone()
        result = augmentation.apply(images, draws, MEAN, STD)
        assert torch.equal(result, one_by_one(images, augmentation, draws))
        assert torch.equal(images, before)


def test_normalisation_is_torchvisions():
    images = some_images()
    expected = normalize(images.float() / 255, MEAN, STD)
    torch.testing.assert_close(normalise(images, MEAN, STD), expected, rtol=1e-5, atol=1e-6)


def test_zero_padding_is_black_and_cutout_the_mean():
    white = torch.full((1, 3, 8, 8), 255, dtype=torch.uint8)
    augmentation = Augmentation(False, 2, "zero", 2)
    draws = augmentation.draw(1, (8, 8), torch.Generator().manual_seed(0))
    draws.tops[:], draws.lefts[:], draws.centre_rows[:], draws.centre_columns[:] = 0, 0, 5, 7
    result = augmentation.apply(white, draws, MEAN, STD)
    black = normalise(torch.zeros_like(white), MEAN, STD)
    assert torch.equal(result[:, :, :2], black[:, :, :2])
    assert (result[:, :, 4:6, 6:8] == 0).all()
    assert (result == 0).sum() == 3 * 4


def test_draws_cover_their_whole_range_evenly():
    draws = Augmentation(True, 4, "zero", 16).draw(20_000, (32, 32), torch.Generator().manual_seed(0))
    for values, count in (
        (draws.tops, 9),
        (draws.lefts, 9),
        (draws.centre_rows, 32),
        (draws.centre_columns, 32),
    ):
        shares = values.bincount(minlength=count) * count / 20_000
        assert len(shares) == count and shares.min() > 0.8 and shares.max() < 1.2
    assert 0.48 < draws.flips.float().mean() < 0.52


def test_a_cut_out_square_of_16_erases_196_pixels_on_average():
    images = some_images(4000, 32, 32)
    augmentation = Augmentation(False, 0, "zero", 16)
    draws = augmentation.draw(4000, (32, 32), torch.Generator().manual_seed(0))
    erased = (augmentation.apply(images, draws, MEAN, STD) == 0).all(1).sum() / 4000
    assert 193 < erased < 199


def test_mirroring_and_cutout_leave_the_crops_alone():
    plain, rich = Augmentation(False, 4, "zero", 0), Augmentation(True, 4, "reflect", 16)
    first, second = (each.draw(50, (32, 32), torch.Generator().manual_seed(1)) for each in (plain, rich))
    assert torch.equal(first.tops, second.tops) and torch.equal(first.lefts, second.lefts)
    assert not first.flips.any() and second.flips.any()


def test_a_slice_of_the_draws():
    draws = Augmentation(True, 4).draw(10, (32, 32), torch.Generator().manual_seed(1))
    assert len(draws) == 10 and len(draws[8:12]) == 2
    assert torch.equal(draws[2:4].tops, draws.tops[2:4])
    assert torch.equal(draws[2:4].centre_columns, draws.centre_columns[2:4])


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"pad": -1}, "pad: -1"),
        ({"cutout": -2}, "cutout: -2"),
        ({"padding": "zeros"}, "did you mean 'zero'"),
    ],
)
def test_impossible_settings(wrong, words):
    with pytest.raises(UserError, match=words):
        Augmentation(**{"flip": True, "pad": 4, **wrong})


def test_an_image_too_small_to_be_reflected():
    augmentation = Augmentation(False, 8, "reflect")
    draws = augmentation.draw(1, (8, 8), torch.Generator())
    with pytest.raises(UserError, match="8x8"):
        augmentation.apply(some_images(1, 8, 8), draws, MEAN, STD)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_comes_to_the_same_bits():
    images = some_images(128, 32, 32)
    for padding in ("zero", "reflect"):
        augmentation = Augmentation(True, 4, padding, 16)
        draws = augmentation.draw(128, (32, 32), torch.Generator().manual_seed(0))
        expected = augmentation.apply(images, draws, MEAN, STD)
        found = augmentation.apply(images.cuda(), draws.to("cuda"), MEAN, STD, channels_last=True)
        assert torch.equal(found.cpu(), expected)


class TestCompiled:
    def test_without_a_compiler_torch_comes_to_the_same_bits(self, monkeypatch):
        if native_augment.library() is None:
            pytest.skip("no C compiler here")
        images = some_images(64, 32, 32)
        for padding, cutout in (("zero", 16), ("reflect", 0)):
            augmentation = Augmentation(True, 4, padding, cutout)
            draws = augmentation.draw(64, (32, 32), torch.Generator().manual_seed(5))
            for channels_last in (False, True):
                found = augmentation.apply(images, draws, MEAN, STD, channels_last)
                plain = normalise(images, MEAN, STD, channels_last)
                with monkeypatch.context() as patch:
                    patch.setattr(native_augment, "library", lambda: None)
                    assert torch.equal(found, augmentation.apply(images, draws, MEAN, STD, channels_last))
                    assert torch.equal(plain, normalise(images, MEAN, STD, channels_last))

    @given(threads=st.integers(1, 4), count=st.integers(1, 70), channels=st.integers(1, 4))
    def test_any_number_of_threads_images_and_channels(self, threads, count, channels):
        images = torch.randint(0, 256, (count, channels, 9, 7), dtype=torch.uint8)
        augmentation = Augmentation(True, 3, "reflect", 4)
        draws = augmentation.draw(count, (9, 7), torch.Generator().manual_seed(count))
        before = torch.get_num_threads()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native_augment, "_SHARE", 64)
            torch.set_num_threads(threads)
            found = augmentation.apply(images, draws, MEAN[:1] * channels, STD[:1] * channels)
        torch.set_num_threads(before)
        assert torch.equal(found, one_by_one(images, augmentation, draws, MEAN[:1] * channels, STD[:1] * channels))
