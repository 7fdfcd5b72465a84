"""Files that are, or say that they are, far larger than they should be: refused before memory is taken for them."""

import io
import pickle
import resource
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from softshare.cli import main
from softshare.data import archives
from softshare.data.archives import read_archive
from softshare.data.photograph_index import index_of, index_of_tars
from softshare.data.safe_pickle import read_pickle
from softshare.errors import UserError
from softshare.evidence.paths.runs import read_predictions
from softshare.evidence.similarity.reading import read_similarity
from softshare.files import read_json
from softshare.models import create_model
from softshare.models.weights import load_weights
from softshare.schemas import read_yaml
from softshare.training.checkpoint import load_checkpoint

SIZES = pytest.mark.attack("files that are, or say they are, far too large")
TERABYTE = 1 << 40  # of nothing: it takes no place on the disk


def sparse(path, start=b""):
    with path.open("wb") as file:
        file.write(start)
        file.truncate(TERABYTE)
    return path


@pytest.fixture(autouse=True)
def little_memory():
    """Takes memory from what would ask for too much of it, and from the test no more than 2 GB."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + (2 << 30), limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


READERS = {
    "recipe.yaml": (read_yaml, b"settings: {}\n"),
    "metrics.json": (read_json, b"{}"),
    "similarity.npz": (read_similarity, b"PK\x03\x04"),
    "predictions.npz": (read_predictions, b"PK\x03\x04"),
    "checkpoint.pt": (lambda file: load_checkpoint(file, {}), b"softshare checkpoint 1\n"),
    "model.safetensors": (lambda file: load_weights(create_model("wrn-16-1", 10), file), b"\x10"),
}


@SIZES
@pytest.mark.parametrize("name", READERS)
def test_a_terabyte_in_place_of_a_file(name, tmp_path):
    read, start = READERS[name]
    with pytest.raises(UserError, match=rf"{name}: cannot be (read|used) .*1,099,511,627,776 bytes") as caught:
        read(sparse(tmp_path / name, start))
    assert "\n" not in str(caught.value)


@SIZES
@pytest.mark.parametrize("read", [read_similarity, read_predictions])
def test_arrays_that_unpack_to_far_more(read, tmp_path):
    file = tmp_path / "arrays.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed, packed.open("epochs.npy", "w") as array:
        np.lib.format.write_array_header_1_0(array, {"descr": "|u1", "fortran_order": False, "shape": (600 << 20,)})
        for _ in range(600):
            array.write(bytes(1 << 20))
    assert file.stat().st_size < 1 << 20
    with pytest.raises(UserError, match=r"cannot be used .*bytes unpacked"):
        read(file)


def tar_of_a_long_name(size, kind):
    """The header of a name or of attributes of so many bytes, and nothing after it."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, size
    return header.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


@SIZES
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
@pytest.mark.parametrize("read", [lambda path: read_archive(path, lambda _: True), index_of, index_of_tars])
def test_an_archive_whose_header_says_so(kind, read, tmp_path):
    path = sparse(tmp_path / "a.tar", tar_of_a_long_name(100 << 30, kind))
    with pytest.raises(
        UserError, match=r"a.tar: cannot be read as a tar archive \(a header of 107,374,182,400 bytes\)"
    ):
        read(path)


@SIZES
def test_an_archive_in_an_archive_whose_header_says_so(tmp_path):
    inner = tar_of_a_long_name(100 << 30, tarfile.GNUTYPE_LONGNAME)
    member = tarfile.TarInfo("n01440764.tar")
    member.size = len(inner)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(member, io.BytesIO(inner))
    with pytest.raises(UserError, match="a header of 107,374,182,400 bytes"):
        index_of_tars(tmp_path / "a.tar")


@SIZES
@SIZES
def test_an_archive_of_more_members_than_any_set_has(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MOST_MEMBERS", 1000)
    with tarfile.open(tmp_path / "many.tar", "w") as archive:
        for number in range(1001):
            archive.addfile(tarfile.TarInfo(f"train/a/{number}.jpg"))
    with pytest.raises(UserError, match=r"many\.tar: holds more than 1,000 members"):
        read_archive(tmp_path / "many.tar", lambda _: False)


def test_an_archive_that_passes_over_more_than_it_reads(tmp_path):
    member = tarfile.TarInfo("padding")
    member.size = 100 << 30
    path = sparse(tmp_path / "a.tar", member.tobuf())
    with pytest.raises(UserError, match="more than 4,294,967,296 bytes, unpacked"):
        read_archive(path, lambda name: name == "data_batch_1")


def doubled(steps, first=b"\x29", build=b"\x86", number=0):
    """A tuple that holds the one before twice, so many times over: `(x, x)` by its number."""
    content = first + b"q" + bytes([number])
    for step in range(number + 1, steps):
        content += b"h" + bytes([step - 1]) + b"h" + bytes([step - 1]) + build + b"q" + bytes([step])
    return content


NESTED = {
    "a key": b"\x80\x02}" + doubled(100) + b"K\x01s.",
    "a key, by DUP": b"\x80\x02})" + b"2\x86" * 100 + b"K\x01s.",
    "a key, with a number that a list hides": b"\x80\x02}" + doubled(1)[:-2] + b"(eq\x00h\x00h\x00\x86q\x01K\x01s.",
    "a key, with a number set twice": b"\x80\x02}K\x01q\x00" + doubled(100, number=0) + b"K\x01s.",
    "a set": b"\x80\x04}(" + doubled(100) + b"\x91K\x01s.",
    "a kind of numbers": b"\x80\x02}U\x01acnumpy\ndtype\n(" + doubled(100, b"]") + b"tRs.",
}


@pytest.mark.attack("archives, pickles and downloads that are hostile or damaged")
@pytest.mark.parametrize("what", NESTED)
def test_a_pickle_that_nests_itself_ends_at_once(what, tmp_path):
    (tmp_path / "batch").write_bytes(NESTED[what])
    code = (
        "import sys, pathlib; from softshare.data.safe_pickle import read_pickle\n"
        "from softshare.errors import UserError\n"
        "try: read_pickle(pathlib.Path(sys.argv[1]).read_bytes(), 'batch')\n"
        "except UserError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "batch")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("batch: cannot be unpickled") and done.stdout.count("\n") == 1, done


@pytest.mark.attack("archives, pickles and downloads that are hostile or damaged")
@pytest.mark.parametrize("value", [(1, 2), (1,), frozenset({1}), 1 << 100, {"a": {(1, 2): 3}, (1, 2): 4}, {(1,): 2}])
def test_a_key_or_number_that_no_cifar_file_has(value):
    content = pickle.dumps(value if isinstance(value, dict) else {value: 1}, protocol=2)
    with pytest.raises(UserError) as caught:
        read_pickle(content, "batch")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("batch: ")


@pytest.mark.attack("archives, pickles and downloads that are hostile or damaged")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_what_pickles_of_every_protocol_hold_is_read(protocol):
    name = "airplane.png"
    first, second = np.arange(12, dtype=np.uint8).reshape(3, 4), np.arange(3, dtype=np.int64)
    value = {"data": first, "labels": [1, 2, 300, 70000], "filenames": [name, name], "more": second, b"key": b"bytes"}
    read = read_pickle(pickle.dumps(value, protocol=protocol), "batch")
    assert (read["data"] == first).all() and (read["more"] == second).all()
    assert read["labels"] == value["labels"] and read["key"] == b"bytes" and read["filenames"] == [name, name]


@pytest.mark.attack("bad input: commands, names, recipes, runs, checkpoints, images")
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_is_too_small_is_told_in_one_line(error, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("softshare.data.images.load_images", fail)
    assert main(["data", "check", "digits"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("softshare: error: memory is too small")
