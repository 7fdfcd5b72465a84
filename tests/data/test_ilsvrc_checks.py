"""A whole ILSVRC 2012 in which all counts of a split are right, and yet something lies where it should not."""

import shutil

import pytest

from softshare.data.photograph_sets import load_photographs
from softshare.errors import UserError

ONE, TWO, THREE = "n00000001", "n00000002", "n00000003"


def val(tree, synset, number):
    return tree / "val" / synset / f"ILSVRC2012_val_{number:08}.JPEG"


def train(tree, synset, number, of=None):
    return tree / "train" / synset / f"{of or synset}_{number}.JPEG"


def _one_too_many_and_one_too_few(tree):
    val(tree, ONE, 1).rename(val(tree, TWO, 1))


def _a_training_photograph_elsewhere(tree):
    train(tree, ONE, 2).rename(train(tree, THREE, 2, of=ONE))


def _training_folders_swapped(tree):
    _swap(tree / "train")


def _a_number_twice(tree):
    val(tree, TWO, 5).rename(val(tree, TWO, 5).with_name("ILSVRC2012_val_00000002.jpg"))


def _a_number_too_high(tree):
    val(tree, TWO, 5).rename(val(tree, TWO, 7))


def _swap(folder):
    (folder / ONE).rename(folder / "aside")
    (folder / TWO).rename(folder / ONE)
    (folder / "aside").rename(folder / TWO)


BAD = {
    _one_too_many_and_one_too_few: r"tree: has 1 validation photographs of n00000001, not 2 \(1 more classes are",
    _a_training_photograph_elsewhere: (
        r"train/n00000003/n00000001_2\.JPEG: lies among the photographs of n00000003, "
        r"and is one of n00000001 by its name$"
    ),
    _training_folders_swapped: r"n00000002_0\.JPEG: lies among .* by its name; 7 more lie in wrong classes$",
    _a_number_twice: r"n00000002/ILSVRC2012_val_00000002\.\w+: has the number of another .*; that is .*_00000002\.\w+$",
    _a_number_too_high: r"ILSVRC2012_val_00000007\.JPEG: .* have numbers from 1 to 6$",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_what_the_counts_of_a_split_do_not_tell(spoil, photograph_tree, three_synsets, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    spoil(tree)
    with pytest.raises(UserError, match=BAD[spoil]) as error:
        load_photographs("imagenet", tree)
    assert "\n" not in str(error.value)
    # Neither a trial nor a set of one's own is held against ILSVRC.
    assert load_photographs("imagenet", tree, limit=100).classes == three_synsets.classes
    assert len(load_photographs("folder", tree).train) == 12


def test_names_that_are_not_ilsvrc_s_tell_nothing(photograph_tree, three_synsets, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    train(tree, ONE, 2).rename(tree / "train" / ONE / "another.JPEG")
    val(tree, TWO, 5).rename(tree / "val" / TWO / "another.JPEG")
    assert len(load_photographs("imagenet", tree).train) == 12


@pytest.fixture
def with_kit(photograph_tree, three_synsets, write_kit, tmp_path):
    """A tree beside its development kit, which tells training photographs or does not."""

    def written(train=None, truth=(ONE, TWO, THREE) * 2):
        tree = photograph_tree(tmp_path / "tree")
        write_kit(tree, three_synsets.classes, truth, train)
        return tree

    return written


def test_a_set_as_its_kit_tells(with_kit):
    assert len(load_photographs("imagenet", with_kit({ONE: 4, TWO: 4, THREE: 4})).validation) == 6


def test_validation_folders_that_are_swapped(with_kit):
    tree = with_kit()
    _swap(tree / "val")
    wanted = r"_00000002\.JPEG: lies among .* of n00000001, and is one of n00000002 by the development kit; 3 more lie"
    with pytest.raises(UserError, match=wanted):
        load_photographs("imagenet", tree)
    shutil.rmtree(tree / "ILSVRC2012_devkit_t12")  # which alone knows
    assert len(load_photographs("imagenet", tree).validation) == 6


def test_training_photographs_that_the_kit_counts_otherwise(with_kit):
    tree = with_kit({ONE: 4, TWO: 4, THREE: 4})
    train(tree, ONE, 2).rename(train(tree, THREE, 9))
    with pytest.raises(UserError, match=r"tree: has 3 train photographs of n00000001, not 4 \(1 more .*incomplete\?$"):
        load_photographs("imagenet", tree)


def test_a_kit_whose_training_counts_do_not_add_up_tells_none(with_kit):
    assert len(load_photographs("imagenet", with_kit({ONE: 0, TWO: 9, THREE: 9})).train) == 12


@pytest.mark.parametrize("spoil", ["another", "damaged"])
def test_a_kit_of_another_set_or_a_damaged_one(spoil, with_kit):
    tree = with_kit(truth=(ONE, TWO, THREE))
    wanted = r"devkit_t12: tells the classes of 3 validation photographs, not of 6; is it the kit of ILSVRC 2012\?"
    if spoil == "damaged":
        (tree / "ILSVRC2012_devkit_t12" / "data" / "meta.mat").write_bytes(b"nothing")
        wanted = "devkit_t12: the labels cannot be read"
    with pytest.raises(UserError, match=wanted):
        load_photographs("imagenet", tree)
