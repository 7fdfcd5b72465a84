"""Which files are taken for images."""

import pytest

from softshare.data.image_names import is_image


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("train/n01440764/n01440764_18.JPEG", True),
        ("1.jpg", True),
        ("a/1.PNG", True),
        ("a/1.bmp", True),
        (".hidden/1.png", True),  # who walks folders leaves hidden ones out
        ("a/.1.png", False),
        ("a/._1.jpg", False),  # as macOS leaves them in archives
        ("a/.png", False),
        ("a/1.gif", False),
        ("a/1.png.txt", False),
        ("a.png/readme", False),
        ("", False),
    ],
)
def test_images_are_told_by_their_names(name, taken):
    assert is_image(name) is taken
