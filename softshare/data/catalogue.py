"""What is known of each dataset beforehand: its classes in the order of their labels, its counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from softshare.errors import UserError


@dataclass(frozen=True)
class BatchFiles:
    """Where a dataset's authors put it: files of one pickled dictionary each.

    Attributes:
        folder: The folder they come in.
        archive: The archive that holds the folder.
        train: Files of the training images, in order.
        test: Files of the test images.
        labels: Key of the labels.
    """

    folder: str
    archive: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: str


@dataclass(frozen=True)
class Facts:
    """A dataset that is read from files.

    Attributes:
        classes: Names of the classes, in the order of their labels.
        train_per_class: Training images of each class.
        test_per_class: Test images of each class.
        batches: The files its authors publish.
        side: Height and width of an image.
    """

    classes: tuple[str, ...]
    train_per_class: int
    test_per_class: int
    batches: BatchFiles
    side: int = 32

    def per_class(self, split: str) -> int:
        """Images of each class in `train` or `test`."""
        return self.train_per_class if split == "train" else self.test_per_class

    def check_counts(self, split: str, counts: Sequence[int], file: Path) -> None:
        """Checks how many images of each class there are.

        Raises:
            UserError: Too few or too many of a class.
        """
        wanted = self.per_class(split)
        for label, count in zip(self.classes, counts, strict=True):
            if count != wanted:
                raise UserError(
                    f"has {count:,} {split} images of {label!r}, not {wanted:,}",
                    file=file,
                    remedy="is it incomplete?" if count < wanted else "are there others among them?",
                )


# In the order of their labels.
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

FACTS = {
    "cifar10": Facts(
        classes=tuple(_CIFAR10.split()),
        train_per_class=5_000,
        test_per_class=1_000,
        batches=BatchFiles(
            folder="cifar-10-batches-py",
            archive="cifar-10-python.tar.gz",
            train=tuple(f"data_batch_{number}" for number in range(1, 6)),
            test=("test_batch",),
            labels="labels",
        ),
    ),
    "cifar100": Facts(
        classes=tuple(_CIFAR100.split()),
        train_per_class=500,
        test_per_class=100,
        batches=BatchFiles(
            folder="cifar-100-python",
            archive="cifar-100-python.tar.gz",
            train=("train",),
            test=("test",),
            labels="fine_labels",
        ),
    ),
}
