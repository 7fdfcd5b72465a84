"""Photographs of an archive that is read in place, by processes other than the one that indexed it."""

import numpy as np
import pytest
import torch

from softshare.data.beton import read_beton
from softshare.data.beton_datasets import write_photographs
from softshare.data.beton_images import PhotographSettings
from softshare.data.photograph_augment import PhotographAugmentation
from softshare.data.photograph_files import TarStore
from softshare.data.photograph_loader import PhotographLoader
from softshare.data.photograph_sets import load_photographs


@pytest.fixture
def tree(photograph_tree, tmp_path):
    return photograph_tree(tmp_path / "tree")


@pytest.fixture
def in_tar(tree, pack, tmp_path):
    """The tree's set out of an archive that this process has opened."""
    found = load_photographs("folder", pack(tree, tmp_path / "set.tar"))
    for split in (found.train, found.validation):
        assert isinstance(split.store, TarStore)
        split.read(0)
    return found


def test_worker_processes_read_it_at_once(tree, in_tar):
    settings = {"batch_size": 2, "augmentation": PhotographAugmentation(crop=16), "seed": 3, "shuffle": True}
    alone = PhotographLoader(load_photographs("folder", tree).train, **settings)
    two = PhotographLoader(in_tar.train, workers=2, **settings)
    for epoch in (0, 1):
        for expected, found in zip(alone.epoch(epoch), two.epoch(epoch), strict=True):
            assert torch.equal(expected[0], found[0]) and torch.equal(expected[1], found[1])


def test_worker_processes_find_what_is_damaged_in_it(tree, pack, tmp_path):
    file = tree / "val" / "n00000003" / "ILSVRC2012_val_00000003.JPEG"
    file.write_bytes(b"no photograph")
    archive = pack(tree, tmp_path / "set.tar")
    rest = load_photographs("folder", archive, allow_damaged=True, workers=2)
    assert rest.damaged == (f"{archive}: val/n00000003/{file.name}",) and len(rest.validation) == 5


def test_the_process_that_writes_ffcv_s_file_reads_it(in_tar, tmp_path):
    out = tmp_path / "folder.beton"
    write_photographs(in_tar, out, PhotographSettings(), limit=600, threads=2, progress=False)
    beton = read_beton(out, "folder", in_tar.fingerprint)
    content, parts = (
        beton.content(),
        [(split, row) for split in (in_tar.train, in_tar.validation) for row in range(len(split))],
    )
    # JPEGs this small are kept as they are.
    assert [beton.image(number, content).tobytes() for number in range(18)] == [part.read(row) for part, row in parts]
    assert np.array_equal(beton.labels, torch.cat([in_tar.train.labels, in_tar.validation.labels]))
