"""Photographs decoded: the bits of Pillow, whatever decodes, and damage told of."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from softshare.data.photograph_decoding import decoded


def encoded(mode="RGB", kind="JPEG", size=(47, 33), **options):
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).resize(size).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@given(st.tuples(st.integers(1, 70), st.integers(1, 70)), st.integers(1, 100), st.integers(0, 2), st.booleans())
def test_jpeg_comes_to_pillow_s_bits(size, quality, subsampling, progressive):
    content = encoded(size=size, quality=quality, subsampling=subsampling, progressive=progressive)
    ours, theirs = decoded(content), np.asarray(Image.open(io.BytesIO(content)))
    assert ours.dtype == torch.uint8 and np.array_equal(ours.numpy(), theirs)


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("RGB", "BMP")]
)
def test_every_other_kind_is_turned_to_rgb(mode, kind):
    content = encoded(mode, kind)
    assert np.array_equal(decoded(content).numpy(), np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))


def test_a_photograph_cut_anywhere_is_damaged():
    content = encoded(size=(80, 60), quality=90)
    for length in range(0, len(content) - 2, 7):
        with pytest.raises(Exception, match=r".") as error:
            decoded(content[:length])
        assert not isinstance(error.value, RuntimeError), "not in words for a person"
