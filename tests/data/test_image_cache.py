"""Decoded images are kept, and never trusted."""

import os
import subprocess
import sys

import pytest
import safetensors.torch
import torch

from softshare.data import sources
from softshare.data.images import load_images
from softshare.errors import UserError

pytestmark = pytest.mark.attack("a cache of images that was spoilt")


@pytest.fixture
def reads(monkeypatch):
    """The paths that images were read from, rather than taken from the cache."""
    paths = []
    read = sources.Source.read

    def counted(self):
        paths.append(self.path)
        return read(self)

    monkeypatch.setattr(sources.Source, "read", counted)
    return paths


def test_the_second_time_nothing_is_decoded(tiny, tmp_path, reads, pack):
    archive = pack(tiny.write_class_folders(tmp_path / "x"), tmp_path / "a.tar.gz")
    first = load_images("cifar10", archive, cache=tmp_path / "cache")
    second = load_images("cifar10", archive, cache=tmp_path / "cache")
    assert len(reads) == 1
    assert second.fingerprint == first.fingerprint and second.source == first.source
    assert second.mean == first.mean and second.classes == first.classes
    assert torch.equal(second.train_images, torch.from_numpy(tiny.train_images))
    (file,) = (tmp_path / "cache").iterdir()
    assert file.name.startswith("cifar10-") and file.suffix == ".safetensors"


def test_without_a_cache_nothing_is_kept(tiny, tmp_path, reads):
    folder = tiny.write_batches(tmp_path / "x")
    before = sorted(tmp_path.rglob("*"))
    load_images("cifar10", folder)
    load_images("cifar10", folder)
    assert len(reads) == 2 and sorted(tmp_path.rglob("*")) == before


def test_a_changed_archive_is_read_anew(tiny, tmp_path, reads, pack):
    folder = tiny.write_class_folders(tmp_path / "x")
    archive = pack(folder, tmp_path / "a.tar")
    load_images("cifar10", archive, cache=tmp_path / "cache")
    stat = archive.stat()
    os.utime(archive, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    load_images("cifar10", archive, cache=tmp_path / "cache")
    assert len(reads) == 2


@pytest.mark.parametrize("form", ["class folders", "batches"])
def test_a_changed_file_in_a_folder_is_read_anew(tiny, tmp_path, reads, form):
    folder = (tiny.write_batches if form == "batches" else tiny.write_class_folders)(tmp_path / "x")
    first = load_images("cifar10", folder, cache=tmp_path / "cache")
    tiny.train_images[3] += 1
    (folder).rename(tmp_path / "old")
    (tiny.write_batches if form == "batches" else tiny.write_class_folders)(tmp_path / "x")
    second = load_images("cifar10", folder, cache=tmp_path / "cache")
    assert len(reads) == 2 and second.fingerprint != first.fingerprint


def spoil_truncate(file):
    file.write_bytes(file.read_bytes()[:-1000])


def spoil_empty(file):
    file.write_bytes(b"")


def spoil_pixel(file):
    content = bytearray(file.read_bytes())
    content[-5000] ^= 1
    file.write_bytes(content)


def spoil_replace(file):
    file.write_bytes(safetensors.torch.save({"something": torch.zeros(3)}))


@pytest.mark.parametrize("spoil", [spoil_truncate, spoil_empty, spoil_pixel, spoil_replace])
def test_a_spoilt_cache_is_built_anew(tiny, tmp_path, reads, spoil):
    folder = tiny.write_class_folders(tmp_path / "x")
    first = load_images("cifar10", folder, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    spoil(file)
    for count in (2, 2):  # the first time it is rebuilt, and the second time it serves again
        again = load_images("cifar10", folder, cache=tmp_path / "cache")
        assert again.fingerprint == first.fingerprint and len(reads) == count


def test_a_link_in_the_cache_is_not_replaced(tiny, tmp_path):
    folder = tiny.write_class_folders(tmp_path / "x")
    load_images("cifar10", folder, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    file.unlink()
    file.symlink_to("nowhere")
    with pytest.raises(UserError, match=rf"{file.name}: is not a regular file, and is not replaced"):
        load_images("cifar10", folder, cache=tmp_path / "cache")
    assert file.is_symlink() and not (tmp_path / "cache/nowhere").exists()


def test_a_folder_that_cannot_be_written(tiny, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match="cache"):
        load_images("cifar10", tiny.write_batches(tmp_path / "x"), cache=tmp_path / "cache")


WRITE_AND_READ = """
import os, sys
from pathlib import Path
import torch
from softshare.data.image_cache import read_cache, write_cache
from softshare.data.splits import Splits

# Each process writes bytes of its own, so that a mixture of the two would show.
images, labels = torch.full((64, 3, 32, 32), os.getpid() % 251, dtype=torch.uint8), torch.zeros(64).long()
file = Path(sys.argv[1])
for _ in range(50):
    write_cache(file, Splits(images, labels, images.clone(), labels.clone()), "somewhere")
    assert read_cache(file) is not None
"""


@pytest.mark.slow
def test_several_processes_at_once(tmp_path):
    file = tmp_path / "cifar10.safetensors"
    command = [sys.executable, "-c", WRITE_AND_READ, str(file)]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert list(tmp_path.iterdir()) == [file]
