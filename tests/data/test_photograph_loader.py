"""Batches of photographs: the same bits for any number of processes, epochs drawn anew, errors in one line."""

import gc
import itertools
import multiprocessing

import pytest
import torch

from softshare.data.loaders import Part
from softshare.data.photograph_augment import PhotographAugmentation
from softshare.data.photograph_loader import PhotographLoader, default_workers
from softshare.data.photograph_sets import load_photographs
from softshare.errors import UserError

SMALL = PhotographAugmentation(crop=16)


@pytest.fixture
def train(photograph_tree, tmp_path):
    return load_photographs("folder", photograph_tree(tmp_path / "tree")).train


def loader(photographs, **settings):
    given = {"batch_size": 5, "augmentation": SMALL, "seed": 3, "shuffle": True}
    return PhotographLoader(photographs, **given | settings)


def same(one, two):
    batches = list(itertools.zip_longest(one, two))
    return all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in batches)


def test_processes_change_no_bit(train):
    for settings in ({}, {"resize": 20, "shuffle": False}):
        alone, two = loader(train, **settings), loader(train, workers=2, **settings)
        for epoch in (0, 3):
            assert same(alone.epoch(epoch), two.epoch(epoch))


def test_an_epoch_shows_each_photograph_once_in_an_order_and_crops_of_its_own(train):
    batches = loader(train)
    epochs = [list(batches.epoch(epoch)) for epoch in (0, 1, 0)]
    assert [len(labels) for _, labels in epochs[0]] == [5, 5, 2] and len(batches) == 3
    images = torch.cat([images for images, _ in epochs[0]])
    assert images.shape == (12, 3, 16, 16) and images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    labels = [torch.cat([labels for _, labels in epoch]).tolist() for epoch in epochs]
    assert sorted(labels[0]) == sorted(labels[1]) == train.labels.tolist() and labels[0] != labels[1]
    assert same(epochs[0], epochs[2]) and not torch.equal(epochs[0][0][0], epochs[1][0][0])
    assert not same(epochs[0], loader(train, seed=4).epoch(0))


def test_a_place_s_chances_do_not_hang_on_the_batch_size(train):
    whole = torch.cat([images for images, _ in loader(train, batch_size=12).epoch(2)])
    assert torch.equal(torch.cat([images for images, _ in loader(train, batch_size=5).epoch(2)]), whole)


def test_parts_of_a_batch_are_the_batch(train):
    whole = list(loader(train).epoch(1))
    parts = [list(loader(train, part=Part(index, 2)).epoch(1)) for index in range(2)]
    for batch, (images, labels) in enumerate(whole):
        for index in range(2):
            assert torch.equal(parts[index][batch][0], images[index::2])
            assert torch.equal(parts[index][batch][1], labels[index::2])
    with pytest.raises(UserError, match="leaves a batch of 2 images to 3 processes"):
        loader(train, part=Part(0, 3))
    # A test loader's last batch may have nothing for some.
    last = list(loader(train, batch_size=11, resize=20, shuffle=False, part=Part(1, 2)).epoch(0))
    assert [len(labels) for _, labels in last] == [5]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_photograph_that_spoils_later_is_named_in_one_line(photograph_tree, tmp_path, workers):
    tree = photograph_tree(tmp_path / "tree")
    train = load_photographs("folder", tree).train
    file = tree / "train" / "n00000002" / "n00000002_1.JPEG"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(UserError) as error:
        list(loader(train, workers=workers).epoch(0))
    assert str(error.value).startswith(f"{file}: cannot be decoded (") and "\n" not in str(error.value)


def test_its_processes_end_with_its_last_use(train):
    gc.disable()  # which may come long after
    try:
        before = set(multiprocessing.active_children())
        used = loader(train, workers=2)
        next(used.epoch(0))
        processes = set(multiprocessing.active_children()) - before
        assert len(processes) == 2
        del used
        for process in processes:
            process.join(60)
        assert not any(process.is_alive() for process in processes)
    finally:
        gc.enable()


def test_a_process_that_dies_is_told_of(train, monkeypatch):
    monkeypatch.setattr("softshare.data.photograph_loader.decoded", lambda content: __import__("os")._exit(1))
    with pytest.raises(UserError, match=r"workers: 1: a process that loads failed .*fewer --workers"):
        list(loader(train, workers=1).epoch(0))


def test_bad_numbers(train, monkeypatch):
    for key, value in (("batch_size", 0), ("workers", -1)):
        with pytest.raises(UserError, match=key):
            loader(train, **{key: value})
    alone = default_workers()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1000")
    assert default_workers() == 1 <= alone <= 16
