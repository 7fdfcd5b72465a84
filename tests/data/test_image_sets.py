"""What is known of each dataset, and what is worked out of its images."""

import numpy as np
import pytest
import torch

from softshare.data.catalogue import FACTS
from softshare.data.images import load_images
from softshare.data.splits import Splits, channel_statistics
from softshare.errors import UserError
from softshare.names import DATASETS


class TestKnownDatasets:
    def test_every_dataset_has_its_facts(self):
        assert {"digits", *FACTS} == set(DATASETS)
        for name, facts in FACTS.items():
            assert len(set(facts.classes)) == DATASETS[name]
            assert list(facts.classes) == sorted(facts.classes)
            assert len(facts.classes) * facts.train_per_class == 50_000
            assert len(facts.classes) * facts.test_per_class == 10_000

    def test_an_unknown_name_is_answered_with_the_nearest(self):
        with pytest.raises(UserError, match="did you mean 'cifar10'"):
            load_images("cifar-10")

    def test_digits(self):
        digits = load_images("digits")
        assert digits.train_images.shape == (1437, 3, 8, 8) and digits.test_images.shape == (360, 3, 8, 8)
        assert digits.train_images.min() == 0 and digits.train_images.max() == 255
        assert torch.equal(digits.train_images[:, 0], digits.train_images[:, 2])
        assert set(digits.test_labels.bincount().tolist()) <= {35, 36, 37}
        assert (digits.flip, digits.pad, digits.classes) == (False, 1, tuple("0123456789"))

    def test_the_split_of_the_digits_is_the_one_results_were_published_with(self):
        expected = "e93a5cc5e0ee5ce558436fe9409cdd62aad6ea87656b6ea176be59718fb48e8d"
        assert load_images("digits").fingerprint == expected


class TestStatistics:
    def test_are_those_of_numpy(self, tiny):
        mean, std = channel_statistics(torch.from_numpy(tiny.train_images))
        scaled = tiny.train_images / 255
        np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)

    def test_a_fingerprint_sees_every_pixel_and_label(self, tiny):
        def splits():
            arrays = tiny.train_images, tiny.train_labels, tiny.test_images, tiny.test_labels
            return Splits(*(torch.from_numpy(array.copy()) for array in arrays))

        first, second, third = splits(), splits(), splits()
        second.test_images[-1, -1, -1, -1] ^= 1
        third.train_labels[0] = 1
        assert len({first.fingerprint(), second.fingerprint(), third.fingerprint()}) == 3
        assert first.fingerprint() == splits().fingerprint()
