"""Loaders: an epoch follows from the seed and its number, and holds every image once."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from softshare.data.augment import Augmentation, normalise
from softshare.data.loaders import TensorLoader, split_validation
from softshare.data.orders import epoch_order, generator
from softshare.data.seeding import epoch_seed
from softshare.errors import UserError

MEAN, STD = (0.49, 0.48, 0.45), (0.247, 0.243, 0.262)
RICH = Augmentation(True, 1, "zero", 4)


def loader(count=23, **changes):
    images = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    settings = {"batch_size": 5, "mean": MEAN, "std": STD, "augmentation": RICH, "shuffle": True, **changes}
    return TensorLoader(images, torch.arange(count), **settings)


def whole(epoch):
    images, labels = zip(*epoch, strict=True)
    return torch.cat(images), torch.cat(labels)


class TestTensorLoader:
    @given(
        count=st.integers(0, 30),
        batch_size=st.integers(1, 40),
        epoch=st.integers(0, 3),
        shuffle=st.booleans(),
    )
    def test_an_epoch_holds_every_image_once(self, count, batch_size, epoch, shuffle):
        made = loader(count, batch_size=batch_size, shuffle=shuffle)
        batches = list(made.epoch(epoch))
        sizes = [len(labels) for _, labels in batches]
        assert len(batches) == len(made) and sum(sizes) == count
        assert all(size == batch_size for size in sizes[:-1])
        assert sorted(label for _, labels in batches for label in labels.tolist()) == list(range(count))

    def test_evaluation_gives_the_images_as_they_are(self):
        made = loader(augmentation=None, shuffle=False)
        images, labels = whole(made.epoch(0))
        assert torch.equal(labels, torch.arange(23))
        assert torch.equal(images, normalise(made.images, MEAN, STD))
        assert torch.equal(images, whole(made.epoch(7))[0])

    def test_labels_belong_to_their_images(self):
        made = loader(augmentation=None)
        images, labels = whole(made.epoch(3))
        assert torch.equal(images, normalise(made.images[labels], MEAN, STD))

    def test_an_epoch_is_the_same_without_those_before_it(self):
        first, second = loader(seed=4), loader(seed=4)
        for epoch in range(3):
            expected = whole(first.epoch(epoch))
        torch.rand(10)  # the global generator has no part in it
        for found, each in zip(whole(second.epoch(2)), expected, strict=True):
            assert torch.equal(found, each)

    def test_epochs_seeds_and_nothing_else_differ(self):
        def order(**changes):
            epoch = changes.pop("epoch", 0)
            return tuple(whole(loader(**changes).epoch(epoch))[1].tolist())

        assert len({order(), order(epoch=1), order(seed=1), order(seed=1, epoch=1)}) == 4
        assert order() == order(augmentation=None) == order(batch_size=7) == order(channels_last=True)

    def test_augmentation_differs_between_epochs(self):
        made = loader(shuffle=False)
        assert not torch.equal(whole(made.epoch(0))[0], whole(made.epoch(1))[0])

    def test_the_size_of_a_batch_changes_no_image(self):
        assert torch.equal(whole(loader(batch_size=3).epoch(1))[0], whole(loader(batch_size=23).epoch(1))[0])

    @pytest.mark.parametrize("augmentation", [RICH, None])
    def test_channels_last(self, augmentation):
        for images, _ in loader(channels_last=True, augmentation=augmentation).epoch(0):
            assert images.is_contiguous(memory_format=torch.channels_last)

    def test_the_first_epochs_order_on_every_machine(self):
        assert whole(loader(10).epoch(0))[1].tolist() == [4, 0, 2, 5, 6, 9, 8, 7, 3, 1]

    def test_impossible_settings(self):
        with pytest.raises(UserError, match="batch_size: 0"):
            loader(batch_size=0)
        with pytest.raises(UserError, match="3 images with 2 labels"):
            TensorLoader(torch.zeros(3, 3, 8, 8).byte(), torch.zeros(2), batch_size=1, mean=MEAN, std=STD)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_gpu_sees_the_same_images(self):
        for found, expected in zip(whole(loader(device="cuda").epoch(2)), whole(loader().epoch(2)), strict=True):
            assert found.is_cuda and torch.equal(found.cpu(), expected)


class TestSeeds:
    def test_are_stable(self):
        assert epoch_seed(0, 0, "order") == 5821926085217484743

    def test_are_distinct(self):
        seeds = {epoch_seed(s, e, p) for s in range(10) for e in range(50) for p in ("order", "augmentation")}
        assert len(seeds) == 1000 and all(0 <= seed < 2**63 for seed in seeds)
        assert epoch_seed(1, 11, "x") != epoch_seed(11, 1, "x")

    def test_need_no_torch(self):
        code = "import sys, softshare.data.seeding; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestOrders:
    def test_the_first_epochs_order_on_every_machine(self):
        assert epoch_order(10, 0, 0).tolist() == [4, 0, 2, 5, 6, 9, 8, 7, 3, 1]

    def test_each_use_draws_by_itself(self):
        uses = [(0, 0, "x"), (1, 0, "x"), (0, 1, "x"), (0, 0, "y")]
        drawn = [torch.rand(4, generator=generator(*use)) for use in uses]
        assert len({tuple(each.tolist()) for each in drawn}) == 4
        torch.rand(10)  # the global generator has no part in it
        assert torch.equal(drawn[0], torch.rand(4, generator=generator(0, 0, "x")))


class TestSplitValidation:
    @given(count=st.integers(2, 200), fraction=st.just(0.0) | st.floats(0.01, 0.99), seed=st.integers(0, 5))
    def test_every_image_is_on_one_side(self, count, fraction, seed):
        if fraction and round(count * fraction) in (0, count):
            with pytest.raises(UserError, match="holds out"):
                split_validation(count, fraction, seed)
            return
        train, aside = split_validation(count, fraction, seed)
        assert len(aside) == round(count * fraction)
        assert sorted([*train.tolist(), *aside.tolist()]) == list(range(count))
        assert torch.equal(train, train.sort().values) and torch.equal(aside, aside.sort().values)

    def test_follows_from_the_seed(self):
        assert torch.equal(split_validation(1000, 0.1, 3)[1], split_validation(1000, 0.1, 3)[1])
        assert not torch.equal(split_validation(1000, 0.1, 3)[1], split_validation(1000, 0.1, 4)[1])

    @pytest.mark.parametrize("fraction", [-0.1, 1, 1.5])
    def test_impossible_fractions(self, fraction):
        with pytest.raises(UserError, match=r"^validation: "):
            split_validation(10, fraction, 0)
