"""What is read out of a node's own copy besides decoded images: FFCV's file, and archives of photographs."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from softshare.data import beton
from softshare.data.beton import facts_file, read_beton
from softshare.data.photograph_files import FolderStore, TarStore
from softshare.data.photograph_index import index_of
from softshare.data.photographs import Photographs
from softshare.data.scratch import VARIABLE
from softshare.errors import UserError
from softshare.files import write_json


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "node"))
    return tmp_path / "node"


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A file and what is told of it; of its structure no more is asked than that it can be read."""
    file = tmp_path / "shared" / "digits.beton"
    file.parent.mkdir()
    file.write_bytes(b"b" * 1000)
    told = {"format_version": beton.VERSION, "dataset": "digits", "fingerprint": "ab", "train": 1, "test": 1}
    facts = told | {"classes": ["0"], "bytes": 1000, "sha256": beton.sha256(file)}
    write_json(facts_file(file), facts)
    monkeypatch.setattr(
        beton, "read_structure", lambda path, facts: beton.Beton(path, facts, np.empty(0, beton.SAMPLE), np.empty(0))
    )
    return file


def test_ffcv_s_file_is_read_out_of_the_node_s_copy(shared, node):
    found = read_beton(shared, "digits", "ab")
    assert found.path.is_relative_to(node) and found.path.read_bytes() == shared.read_bytes()


def test_without_a_node_s_folder_it_is_read_where_it_lies(shared, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_beton(shared, "digits", "ab").path == shared


def test_a_damaged_copy_is_passed_over(shared, node):
    read_beton(shared, "digits", "ab").path.write_bytes(b"x" * 1000)
    assert read_beton(shared, "digits", "ab").path == shared


def test_of_a_damaged_file_the_one_that_nodes_share_is_named(shared, node):
    shared.write_bytes(b"x" * 1000)
    with pytest.raises(UserError, match="it was altered") as caught:
        read_beton(shared, "digits", "ab")
    assert str(shared) in str(caught.value)


def photographs_in(source):
    index = index_of(source)
    return Photographs(tuple(index.paths), None, index.store)


def test_photographs_of_an_archive_are_read_out_of_the_node_s_copy(tmp_path, node):
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "JPEG")
    archive = tmp_path / "photographs.tar"
    with tarfile.open(archive, "w") as tar:
        member = tarfile.TarInfo("train/a/0.JPEG")
        member.size = len(picture.getvalue())
        tar.addfile(member, io.BytesIO(picture.getvalue()))
    found = photographs_in(archive)
    near = found.on_this_node()
    assert isinstance(near.store, TarStore) and near.store.archive.is_relative_to(node)
    assert near.paths == found.paths and near.read(0) == found.read(0) == picture.getvalue()


def test_a_folder_of_photographs_is_read_where_it_lies(tmp_path, node):
    (tmp_path / "a").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a/0.png")
    assert isinstance(photographs_in(tmp_path).on_this_node().store, FolderStore) and not node.exists()
