"""Photographs on disk: every form that they may lie in is one set, and every bad one is refused by name."""

import errno
import io
import os
import platform
import shutil
import tarfile
from pathlib import Path

import pytest

from softshare.data import archives
from softshare.data.ilsvrc import TRAIN_TAR, VALIDATION_TAR, ilsvrc_facts
from softshare.data.photograph_files import FolderStore
from softshare.data.photograph_sets import load_photographs
from softshare.errors import UserError


def packed(folder: Path, archive: Path, below="."):
    with tarfile.open(archive, "w:gz" if archive.name.endswith("gz") else "w") as tar:
        tar.add(folder, below)
    return archive


def distributed(tree: Path, root: Path, synsets, write_kit) -> Path:
    """The tree as ILSVRC 2012 is distributed: a tar of tars, a flat tar, and the kit."""
    root.mkdir()
    with tarfile.open(root / TRAIN_TAR, "w") as outer:
        for folder in sorted((tree / "train").iterdir()):
            content = io.BytesIO()
            with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as inner:
                for file in sorted(folder.iterdir()):
                    inner.add(file, file.name)
            member = tarfile.TarInfo(f"{folder.name}.tar")
            member.size = content.tell()
            content.seek(0)
            outer.addfile(member, content)
    files = sorted((tree / "val").rglob("*.JPEG"), key=lambda file: file.name)
    with tarfile.open(root / VALIDATION_TAR, "w") as flat:
        for file in files:
            flat.add(file, file.name)
    write_kit(root / "kit", synsets, [file.parent.name for file in files])
    packed(root / "kit", root / "ILSVRC2012_devkit_t12.tar.gz")
    shutil.rmtree(root / "kit")
    return root


@pytest.mark.long
def test_every_form_is_the_same_set(photograph_tree, three_synsets, write_kit, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    whole = load_photographs("imagenet", tree)
    assert whole.classes == three_synsets.classes and not whole.notes
    assert whole.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and len(whole.validation) == 6
    forms = [
        packed(tree, tmp_path / "set.tar"),
        packed(tree, tmp_path / "set.tar.gz", "below/another"[:5]),
        distributed(tree, tmp_path / "distributed", three_synsets.classes, write_kit),
    ]
    flat = tmp_path / "flat"
    shutil.copytree(tree / "train", flat / "train")
    (flat / "val").mkdir()
    for file in (tree / "val").rglob("*.JPEG"):
        shutil.copy(file, flat / "val")
    with tarfile.open(tmp_path / "distributed" / "ILSVRC2012_devkit_t12.tar.gz") as kit:
        kit.extractall(flat, filter="data")
    half = tmp_path / "half"  # the training archive unpacked, the other as it came
    shutil.copytree(tmp_path / "distributed", half)
    (half / TRAIN_TAR).unlink()
    shutil.copytree(tree / "train", half / "train")
    for form in (*forms, flat, half):
        other = load_photographs("imagenet", form)
        assert other.fingerprint == whole.fingerprint, form
        for split in ("train", "validation"):
            one, two = getattr(whole, split), getattr(other, split)
            assert one.labels.tolist() == two.labels.tolist()
            assert [one.read(row) for row in range(len(one))] == [two.read(row) for row in range(len(two))]


def test_the_fingerprint_sees_names_sizes_and_bytes_and_not_places(photograph_tree, three_synsets, encoded, tmp_path):
    tree = photograph_tree(tmp_path / "a")
    first = load_photographs("imagenet", tree).fingerprint
    assert load_photographs("imagenet", shutil.copytree(tree, tmp_path / "b")).fingerprint == first
    file = tree / "train" / "n00000002" / "n00000002_1.JPEG"
    content = bytearray(file.read_bytes())
    seen = {first}
    content[-20] ^= 1
    file.write_bytes(content)
    seen.add(load_photographs("imagenet", tree).fingerprint)
    file.write_bytes(encoded(99))
    seen.add(load_photographs("imagenet", tree).fingerprint)
    file.rename(file.with_name("n00000002_9.JPEG"))
    seen.add(load_photographs("imagenet", tree).fingerprint)
    assert len(seen) == 4


def test_a_limit_takes_its_photographs_from_all_classes_and_says_so(photograph_tree, three_synsets, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    limited = load_photographs("imagenet", tree, limit=3)
    assert limited.train.labels.tolist() == limited.validation.labels.tolist() == [0, 1, 2]
    assert limited.notes == ("limited to 3 photographs a split: 12 in train, 6 in validation",)
    assert len(limited.classes) == 3  # the network's outputs are as many as ever
    shutil.rmtree(tree / "train" / "n00000002")
    assert load_photographs("imagenet", tree, limit=100).train.labels.tolist() == [0] * 4 + [2] * 4


def test_a_set_without_validation_photographs_holds_a_tenth_of_each_class_out(photograph_tree, tmp_path):
    tree = photograph_tree(tmp_path / "tree", train=20, validation=1)
    whole = load_photographs("folder", tree / "train")
    assert len(whole.train) == 54 and whole.validation.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert not set(whole.train.paths) & set(whole.validation.paths)
    assert whole.notes == ("no validation split: 6 photographs, a tenth of each class, are held out as one",)
    packing = packed(tree / "train", tmp_path / "flat.tar", "some-name")
    assert load_photographs("folder", packing).fingerprint == whole.fingerprint


def test_one_photograph_a_class_is_tried_with_a_limit_alone(photograph_tree, three_synsets, tmp_path):
    tree = photograph_tree(tmp_path / "tree", train=1) / "train"
    with pytest.raises(UserError, match=r"no class has two photographs.*--limit N"):
        load_photographs("folder", tree)
    tried = load_photographs("imagenet", tree, limit=2)
    assert tried.train.paths == tried.validation.paths and len(tried.train) == 2
    assert "measured on the training photographs themselves" in tried.notes[0]


def test_formats_and_modes_that_imagenet_has_under_one_name(photograph_tree, three_synsets, encoded, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    folder = tree / "train" / "n00000001"
    for number, (image_format, mode) in enumerate([("PNG", "RGB"), ("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "RGBA")]):
        (folder / f"n00000001_{number}.JPEG").write_bytes(encoded(number, (40, 40), image_format, mode))
    assert len(load_photographs("imagenet", tree).train) == 12


def test_damaged_photographs_are_named_counted_and_left_out_if_allowed(
    photograph_tree, three_synsets, tmp_path, monkeypatch
):
    tree, cache = photograph_tree(tmp_path / "tree"), tmp_path / "cache"
    cut, empty = (tree / "train" / "n00000002" / f"n00000002_{number}.JPEG" for number in (1, 3))
    cut.write_bytes(cut.read_bytes()[:-300])
    empty.write_bytes(b"")
    with pytest.raises(UserError) as error:
        load_photographs("imagenet", tree, cache=cache)
    assert str(error.value).startswith(f"{cut}: cannot be decoded (image file is truncated")
    assert ", nor can 1 more; mend" in str(error.value) and "--allow-damaged" in str(error.value)
    rest = load_photographs("imagenet", tree, allow_damaged=True)
    assert len(rest.train) == 10 and rest.damaged == (str(cut), str(empty))
    assert rest.notes == ("2 photographs that cannot be decoded are left out",)
    # What was found is kept: nothing is decoded a second time.
    monkeypatch.setattr("softshare.data.photograph_checks.decoded", None)
    again = load_photographs("imagenet", tree, allow_damaged=True, cache=cache)
    assert again.fingerprint == rest.fingerprint and again.damaged == rest.damaged
    for file in cache.iterdir():
        file.write_text('{"train": 3}')
    monkeypatch.undo()
    monkeypatch.setattr("softshare.data.photograph_sets.ilsvrc_facts", lambda: three_synsets)
    assert load_photographs("imagenet", tree, allow_damaged=True, cache=cache).damaged == rest.damaged


def test_unreadable_photographs_are_named_counted_and_left_out_if_allowed(photograph_tree, three_synsets, tmp_path):
    tree, cache = photograph_tree(tmp_path / "tree"), tmp_path / "cache"
    whole = load_photographs("imagenet", tree).fingerprint
    gone, pipe = (tree / "train" / "n00000002" / f"n00000002_{number}.JPEG" for number in (1, 3))
    kept = gone.read_bytes()
    for file in (gone, pipe):
        file.write_bytes(b"no photograph")
    without = load_photographs("imagenet", tree, allow_damaged=True)
    for file in (gone, pipe):
        file.unlink()
    gone.symlink_to("nowhere")
    os.mkfifo(pipe)
    for _ in ("found", "found in the cache"):
        with pytest.raises(UserError) as error:
            load_photographs("imagenet", tree, cache=cache)
        assert str(error.value).startswith(f"{gone}: cannot be read (No such file or directory), nor can 1 more; mend")
        rest = load_photographs("imagenet", tree, allow_damaged=True, cache=cache)
        assert rest.damaged == (str(gone), str(pipe)) and rest.fingerprint == without.fingerprint
        assert rest.notes == ("2 photographs that cannot be read or decoded are left out",)
    for file in (gone, pipe):
        file.unlink()
    gone.write_bytes(kept)
    shutil.copy(tree / "train" / "n00000002" / "n00000002_0.JPEG", pipe)
    mended = load_photographs("imagenet", tree, cache=cache)
    assert not mended.damaged and len(mended.train) == 12 and mended.fingerprint != whole


def test_a_disks_own_folder_is_passed_over(photograph_tree, three_synsets, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    whole = load_photographs("imagenet", tree).fingerprint
    (tree / "train" / "lost+found").mkdir()
    shutil.copy(tree / "train" / "n00000002" / "n00000002_0.JPEG", tree / "train" / "lost+found" / "1.JPEG")
    assert load_photographs("imagenet", tree).fingerprint == whole


def test_a_folder_that_cannot_be_opened_is_named(photograph_tree, three_synsets, tmp_path, monkeypatch):
    tree = photograph_tree(tmp_path / "tree")
    closed, opened = tree / "train" / "n00000002", os.scandir

    def closed_to_all(path="."):  # by hand, for root may open what permissions close
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path)

    monkeypatch.setattr(os, "scandir", closed_to_all)
    with pytest.raises(UserError) as error:
        load_photographs("imagenet", tree, allow_damaged=True)
    assert str(error.value) == f"{closed}: cannot be read (Permission denied)"


def test_what_could_not_be_read_is_tried_again_though_the_check_is_kept(
    photograph_tree, three_synsets, tmp_path, monkeypatch
):
    tree, cache = photograph_tree(tmp_path / "tree"), tmp_path / "cache"
    whole = load_photographs("imagenet", tree).fingerprint
    cut, closed = (tree / "train" / "n00000002" / f"n00000002_{number}.JPEG" for number in (1, 3))
    sound, read = cut.read_bytes(), FolderStore.read

    def closed_to_us(self, index):
        if self.where(index) == str(closed):
            raise UserError("cannot be read (Permission denied)", file=closed)
        return read(self, index)

    for hashed_whole in (1_000, 1):  # the closed file is among those of the fingerprint, or not
        monkeypatch.setattr("softshare.data.photographs._HASHED_WHOLE", hashed_whole)
        cut.write_bytes(b"no photograph")
        with monkeypatch.context() as patch:
            patch.setattr(FolderStore, "read", closed_to_us)
            for _ in ("found", "found in the cache"):
                rest = load_photographs("imagenet", tree, allow_damaged=True, cache=cache)
                assert rest.damaged == (str(cut), str(closed))
        assert load_photographs("imagenet", tree, allow_damaged=True, cache=cache).damaged == (str(cut),)
        with monkeypatch.context() as patch:  # it is kept that what was closed is sound: nothing is decoded once more
            patch.setattr("softshare.data.photograph_checks.find_damaged", None)
            assert load_photographs("imagenet", tree, allow_damaged=True, cache=cache).damaged == (str(cut),)
        cut.write_bytes(sound)
        opened = load_photographs("imagenet", tree, cache=cache)
        assert not opened.damaged and (hashed_whole == 1 or opened.fingerprint == whole)


def test_processes_find_the_same_damage(photograph_tree, three_synsets, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    (tree / "val" / "n00000003" / "ILSVRC2012_val_00000003.JPEG").write_bytes(b"no photograph")
    with pytest.raises(UserError, match=r"val_00000003.JPEG: cannot be decoded \(unknown format\); mend"):
        load_photographs("imagenet", tree, workers=2)


def _lacks_a_class(tree):
    shutil.rmtree(tree / "train" / "n00000002")
    return tree


def _lacks_a_photograph(tree):
    (tree / "train" / "n00000002" / "n00000002_1.JPEG").unlink()
    return tree


def _has_one_too_many(tree):
    shutil.copy(next((tree / "val" / "n00000002").iterdir()), tree / "val" / "n00000002" / "another.JPEG")
    return tree


def _has_a_wrong_synset(tree):
    (tree / "val" / "n00000002").rename(tree / "val" / "n00000020")
    return tree


def _has_no_validation(tree):
    shutil.rmtree(tree / "val")
    return tree


def _has_no_training(tree):
    shutil.rmtree(tree / "train")
    return tree


def _has_it_twice(tree):
    shutil.copytree(tree, tree.parent / "both" / "one")
    shutil.copytree(tree, tree.parent / "both" / "two")
    return tree.parent / "both"


def _is_flat_without_a_kit(tree):
    for file in list((tree / "val").rglob("*.JPEG")):
        file.rename(tree / "val" / file.name)
    return tree


def _is_cut_short(tree):
    archive = packed(tree, tree.parent / "set.tar")
    archive.write_bytes(archive.read_bytes()[:20_000])
    return archive


def _is_cut_short_and_compressed(tree):
    archive = packed(tree, tree.parent / "set.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-100])
    return archive


BAD = {
    _lacks_a_class: r"has no train photographs of 1 of 3 classes \(n00000002\); is it incomplete",
    _lacks_a_photograph: "has 11 train photographs, not 12; is it incomplete",
    _has_one_too_many: "has 3 validation photographs of n00000002, not 2; are there others",
    _has_a_wrong_synset: "tree: 'n00000020': unknown class; did you mean 'n0000000",
    _has_no_validation: "has no validation photographs of 3 of 3 classes",
    _has_no_training: "holds no photographs to train on",
    _has_it_twice: "more than once, in 'one' and 'two'",
    _is_flat_without_a_kit: "nothing tells their classes; put ILSVRC2012_devkit_t12.tar.gz there",
    _is_cut_short: "set.tar: cannot be read as a tar archive.*is it truncated",
    _is_cut_short_and_compressed: r"set\.tar\.gz: cannot be read as a tar archive",
    lambda tree: tree / "nowhere": r"nowhere: no such file or folder; set data\.imagenet or --data",
    lambda tree: tree / "train" / "n00000001": "holds no photographs to train on",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda spoil: spoil.__name__)
def test_a_bad_set_is_refused_in_one_line(spoil, photograph_tree, three_synsets, tmp_path):
    with pytest.raises(UserError, match=BAD[spoil]) as error:
        load_photographs("imagenet", spoil(photograph_tree(tmp_path / "tree")))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["imagenet", "folder"])
def test_a_place_that_the_environment_names_and_is_not_there_is_told_with_the_machine(name, monkeypatch, tmp_path):
    variable, gone = f"SOFTSHARE_DATA_{name.upper()}", tmp_path / "gone"
    monkeypatch.setenv(variable, str(gone))
    with pytest.raises(UserError) as error:
        load_photographs(name)
    said = f"{variable}: '{gone}': does not lie on this machine ({platform.node()}); set it to a path that"
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("spoil", ["a tar inside", "the kit", "a number beyond the kit"])
def test_ilsvrc_s_archives_damaged(spoil, photograph_tree, three_synsets, write_kit, tmp_path):
    root = distributed(photograph_tree(tmp_path / "tree"), tmp_path / "distributed", three_synsets.classes, write_kit)
    kit = root / "ILSVRC2012_devkit_t12.tar.gz"
    if spoil == "a tar inside":
        content = bytearray((root / TRAIN_TAR).read_bytes())
        content[512:1024] = bytes([7]) * 512  # the header of the first photograph
        (root / TRAIN_TAR).write_bytes(content)
        wanted = f"{TRAIN_TAR}: cannot be read as a tar archive"
    elif spoil == "the kit":
        kit.write_bytes(kit.read_bytes()[: kit.stat().st_size // 2])
        wanted = "devkit_t12.tar.gz: cannot be read as a tar archive"
    else:
        data = tmp_path / "k" / "ILSVRC2012_devkit_t12" / "data"
        with tarfile.open(kit) as archive:
            archive.extractall(tmp_path / "k", filter="data")
        truth = data / "ILSVRC2012_validation_ground_truth.txt"
        truth.write_text("1\n2\n")
        packed(tmp_path / "k", kit)
        wanted = "the development kit knows 2 validation photographs"
    with pytest.raises(UserError, match=wanted):
        load_photographs("imagenet", root)


def test_a_photograph_that_goes_away_or_an_archive_that_shrinks_is_named(photograph_tree, three_synsets, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    whole = load_photographs("imagenet", tree)
    shutil.rmtree(tree / "train" / "n00000001")
    with pytest.raises(UserError, match=r"n00000001_0\.JPEG: cannot be read"):
        whole.train.read(0)
    archive = packed(photograph_tree(tmp_path / "other"), tmp_path / "set.tar")
    whole = load_photographs("imagenet", archive)
    archive.write_bytes(archive.read_bytes()[:10_000])
    with pytest.raises(UserError, match=r"set\.tar: .*JPEG: ends too early"):
        [whole.train.read(row) for row in range(12)]


def test_a_compressed_archive_too_large_for_memory(photograph_tree, three_synsets, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 5_000)
    with pytest.raises(UserError, match=r"read in place: give them as plain \.tar"):
        load_photographs("imagenet", packed(photograph_tree(tmp_path / "tree"), tmp_path / "set.tar.gz"))


def test_what_else_is_refused(photograph_tree, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    with pytest.raises(UserError, match="limit: -1: must be 0 or more"):
        load_photographs("folder", tree, limit=-1)
    with pytest.raises(UserError, match="unknown dataset; did you mean 'imagenet'"):
        load_photographs("imagnet", tree)
    shutil.rmtree(tree / "train" / "n00000002")
    with pytest.raises(UserError, match="'n00000002': unknown class; did you mean"):
        load_photographs("folder", tree)
    for synset in ("n00000002", "n00000003"):
        shutil.rmtree(tree / "val" / synset)
    shutil.rmtree(tree / "train" / "n00000003")
    with pytest.raises(UserError, match="has one class: nothing to tell apart"):
        load_photographs("folder", tree)


@pytest.mark.slow
def test_imagenet_has_a_thousand_synsets():
    facts = ilsvrc_facts()
    assert len(set(facts.classes)) == 1000 and list(facts.classes) == sorted(facts.classes)
    assert facts.classes[0] == "n01440764" and facts.classes[-1] == "n15075141"
    assert (facts.train, facts.validation) == (1_281_167, 50_000)
