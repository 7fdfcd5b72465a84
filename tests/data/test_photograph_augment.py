"""Crops and colours: the same for any process, and those of fb.resnet.torch step by step."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from softshare.data import native_colours
from softshare.data.photograph_augment import (
    CHANCES,
    JITTER,
    LIGHTING,
    MIRRORED,
    ORDER,
    PhotographAugmentation,
    centred,
    chances,
    crop_boxes,
    cropped,
)
from softshare.data.photograph_colours import MEAN, STD, augment_colours, normalise_photographs

PAPER = PhotographAugmentation()


@given(st.integers(0, 2**40), st.integers(0, 90), st.integers(0, 2_000_000), st.integers(1, 9), st.integers(0, 8))
def test_chances_belong_to_a_place_in_the_epoch(seed, epoch, first, count, within):
    drawn = chances(seed, epoch, first, count)
    assert drawn.shape == (count, CHANCES) and drawn.min() >= 0 and drawn.max() < 1
    alone = chances(seed, epoch, first + min(within, count - 1), 1)
    assert np.array_equal(alone[0], drawn[min(within, count - 1)])
    assert not np.array_equal(chances(seed, epoch + 1, first, count), drawn)


def test_chances_are_even_and_unlike_each_other():
    drawn = chances(0, 0, 0, 4000)
    assert abs(drawn.mean() - 0.5) < 0.002 and len(np.unique(drawn)) == drawn.size
    assert np.abs(np.corrcoef(drawn.T) - np.eye(CHANCES)).max() < 0.08


@given(st.integers(8, 3000), st.integers(8, 3000), st.integers(0, 1000))
def test_boxes_lie_in_the_photograph_and_keep_area_and_ratio(width, height, seed):
    count = 20
    boxes = crop_boxes(chances(seed, 0, 0, count), np.full(count, width), np.full(count, height), PAPER)
    left, top, right, bottom = boxes.T
    assert (left >= 0).all() and (top >= 0).all() and (right <= width).all() and (bottom <= height).all()
    across, down = right - left, bottom - top
    assert (across >= 1).all() and (down >= 1).all()
    central = (across == min(width, height)) & (down == min(width, height))
    # Each side is off by half a pixel at most.
    most = (np.sqrt(across * down) + 1) ** 2
    assert ((most >= 0.08 * width * height) | central).all()
    assert (((across + 0.5) / (down - 0.5) >= 0.75) | central).all()
    assert (((across - 0.5) / (down + 0.5) <= 4 / 3) | central).all()


def test_a_box_is_what_fb_resnet_torch_would_draw():
    width, height = 500, 375
    for chance in chances(3, 1, 0, 200):
        box = crop_boxes(chance[None], np.array([width]), np.array([height]), PAPER)[0]
        for attempt in chance[:50].reshape(10, 5):
            area = (0.08 + 0.92 * attempt[0]) * width * height
            ratio = 0.75 + (4 / 3 - 0.75) * attempt[1]
            across, down = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
            if attempt[2] < 0.5:
                across, down = down, across
            if across <= width and down <= height:
                left, top = int(attempt[3] * (width - across + 1)), int(attempt[4] * (height - down + 1))
                assert box.tolist() == [left, top, left + across, top + down]
                break


def test_where_no_attempt_fits_the_central_square_is_taken():
    boxes = crop_boxes(chances(0, 0, 0, 3), np.array([1000, 40, 60]), np.array([10, 900, 60]), PAPER)
    assert boxes[0].tolist() == [495, 0, 505, 10] and boxes[1].tolist() == [0, 430, 40, 470]


def by_steps(image, chance, augmentation):
    """One image, float64 [3, H, W] in [0, 1], as fb.resnet.torch goes about it."""
    grey_weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)[:, None, None]

    def grey(image):
        return (image * grey_weights).sum(0, keepdim=True).expand(3, -1, -1)

    order = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)][int(chance[ORDER] * 6)]
    for step in order:
        strength = (augmentation.brightness, augmentation.contrast, augmentation.saturation)[step]
        factor = 1 + strength * (2 * chance[JITTER][step] - 1)
        other = (torch.zeros_like(image), grey(image).mean().expand_as(image), grey(image))[step]
        image = image * factor + other * (1 - factor)
    uniform = torch.tensor(chance[LIGHTING], dtype=torch.float64)
    alpha = augmentation.lighting * torch.special.ndtri(uniform)
    values = torch.tensor([0.2175, 0.0188, 0.0045], dtype=torch.float64)
    vectors = torch.tensor(
        [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]], dtype=torch.float64
    )
    image = image + (vectors @ (alpha * values))[:, None, None]
    image = (image - torch.tensor(MEAN).double()[:, None, None]) / torch.tensor(STD).double()[:, None, None]
    return image.flip(2) if augmentation.mirror and chance[MIRRORED] < 0.5 else image


@pytest.mark.parametrize("changes", [{}, {"mirror": False}, {"brightness": 0.0, "lighting": 0.0}, {"contrast": 1.0}])
def test_colours_are_those_of_the_steps_one_by_one(changes):
    augmentation = dataclasses.replace(PAPER, **changes)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (40, 3, 7, 9), generator=generator).to(torch.uint8)
    images[1] //= 4  # a dark one
    chance = chances(5, 2, 100, 40)
    assert len(set((chance[:, ORDER] * 6).astype(int))) == 6
    result = augment_colours(images.contiguous(memory_format=torch.channels_last), chance, augmentation)
    assert result.dtype == torch.float32 and result.is_contiguous(memory_format=torch.channels_last)
    wanted = torch.stack([by_steps(i.double() / 255, c, augmentation) for i, c in zip(images, chance, strict=True)])
    torch.testing.assert_close(result.double(), wanted, rtol=1e-5, atol=2e-5)
    # A part of a batch comes to the same bits.
    assert torch.equal(augment_colours(images[10:20], chance[10:20], augmentation), result[10:20])


def test_without_any_strength_only_the_normalising_is_left():
    images = torch.randint(0, 256, (5, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    still = PhotographAugmentation(mirror=False, brightness=0, contrast=0, saturation=0, lighting=0)
    plain = normalise_photographs(images)
    torch.testing.assert_close(augment_colours(images, chances(0, 0, 0, 5), still), plain)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    torch.testing.assert_close(plain, (images / 255 - mean) / std, rtol=1e-5, atol=1e-5)


def test_a_test_photograph_is_scaled_by_its_shorter_side_and_cut_at_its_centre():
    pixels = np.zeros((100, 400, 3), np.uint8)
    pixels[:, 190:210] = 255  # a bar in the middle
    for image in (torch.from_numpy(pixels), torch.from_numpy(pixels.transpose(1, 0, 2).copy())):
        result = centred(image, 50, 40, "bicubic")
        assert result.shape == (40, 40, 3) and result.dtype == torch.uint8
        across = result.float().mean((0 if image.shape[1] > image.shape[0] else 1, 2))
        assert (across[16:24] > 200).all() and (across[:12] < 5).all() and (across[28:] < 5).all()


def test_a_crop_is_its_part_scaled():
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[20:50, 10:40] = (10, 200, 30)
    part = cropped(torch.from_numpy(pixels), np.array([10, 20, 40, 50]), dataclasses.replace(PAPER, crop=16))
    assert part.shape == (16, 16, 3) and (part == torch.tensor([10, 200, 30])).all()


def waves(width, height):
    """A smooth photograph, as photographs are."""
    x, y = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    return np.stack([127 * (1 + np.sin(x + shift) * np.cos(y - shift)) for shift in (0, 1, 2)], axis=2).astype(np.uint8)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@given(st.integers(3, 300), st.integers(3, 300), st.integers(8, 64))
def test_a_crop_is_scaled_as_pillow_scales(interpolation, width, height, side):
    pixels = waves(width, height)
    augmentation = PhotographAugmentation(crop=side, interpolation=interpolation)
    ours = cropped(torch.from_numpy(pixels), np.array([1, 0, width - 1, height]), augmentation).numpy()
    part = Image.fromarray(pixels[:, 1 : width - 1])
    theirs = np.asarray(part.resize((side, side), Image.Resampling[interpolation.upper()]))
    assert ours.shape == theirs.shape and np.abs(ours.astype(int) - theirs).max() <= 2


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 90), st.integers(1, 90))
def test_the_central_crop_is_pillow_s_also_beyond_the_photograph(width, height, resize, crop):
    pixels = waves(width, height)
    ours = centred(torch.from_numpy(pixels), resize, crop, "bilinear").numpy()
    scale = resize / min(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = round((size[0] - crop) / 2), round((size[1] - crop) / 2)
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    theirs = np.asarray(image.crop((left, top, left + crop, top + crop)))
    assert np.abs(ours.astype(int) - theirs).max() <= 2


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.booleans(), st.integers(0, 100))
def test_compiled_colours_are_those_of_torch(height, width, count, mirror, seed):
    if native_colours.library() is None:
        pytest.skip("no C compiler")
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, height, width, 3), generator=generator, dtype=torch.uint8)
    images = pixels.permute(0, 3, 1, 2)
    chance, augmentation = chances(seed, 0, 0, count), dataclasses.replace(PAPER, mirror=mirror)
    compiled, plain = augment_colours(images, chance, augmentation), normalise_photographs(images)
    with pytest.MonkeyPatch.context() as without:
        without.setattr(native_colours, "library", lambda: None)
        assert torch.equal(compiled, augment_colours(images, chance, augmentation))
        assert torch.equal(plain, normalise_photographs(images))
    assert compiled.stride() == torch.empty(images.shape).to(memory_format=torch.channels_last).stride()


def test_the_sum_of_a_large_bright_photograph_does_not_overflow():
    images = torch.full((1, 3000, 3000, 3), 255, dtype=torch.uint8).permute(0, 3, 1, 2)
    if native_colours.serves(images):
        assert native_colours.colour_sums(images).tolist() == [[255 * 9_000_000] * 3]
