"""Several processes check one set of photographs: each its part, all come to the same. Threads stand in for them."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from softshare.data import photograph_checks
from softshare.data.loaders import Part
from softshare.data.photograph_sets import load_photographs
from softshare.errors import UserError


def load_together(*places, caches=(None, None), **settings):
    """What each process comes to: its set, or its error."""
    count = len(places)
    given, meet = [None] * count, Barrier(count, timeout=60)

    def load(rank):
        def gather(value):
            given[rank] = pickle.dumps(value)
            meet.wait()
            told = [pickle.loads(each) for each in given]
            meet.wait()
            return told

        try:
            part = Part(rank, count)
            return load_photographs("folder", places[rank], cache=caches[rank], part=part, gather=gather, **settings)
        except UserError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(load, range(count)))


@pytest.fixture
def tree(photograph_tree, tmp_path):
    tree = photograph_tree(tmp_path / "tree")
    for file in sorted((tree / "train").rglob("*.JPEG"))[2:6:3]:  # one is the first process's, one the second's
        file.write_bytes(b"no photograph")
    return tree


@pytest.fixture
def decoded(monkeypatch):
    """How often a photograph was decoded."""
    done, decode = [], photograph_checks.decoded
    monkeypatch.setattr(photograph_checks, "decoded", lambda content: decode(done.append(content) or content))
    return done


def test_each_photograph_is_decoded_once_and_all_come_to_what_one_comes_to(tree, decoded, tmp_path):
    alone = load_photographs("folder", tree, allow_damaged=True)
    assert len(decoded) == 18 and len(alone.damaged) == 2
    caches = tmp_path / "first", tmp_path / "second"  # of two nodes
    for count in (18, 0):
        decoded.clear()
        for found in load_together(tree, tree, caches=caches, allow_damaged=True):
            assert (found.fingerprint, found.damaged, found.notes) == (alone.fingerprint, alone.damaged, alone.notes)
            assert found.train.paths == alone.train.paths
        assert len(decoded) == count
    assert len(list(caches[0].iterdir())) == 1 and not caches[1].exists()
    assert load_photographs("folder", tree, allow_damaged=True, cache=caches[0]).damaged == alone.damaged
    assert len(decoded) == 0


def test_what_is_damaged_is_refused_by_all_in_the_same_words(tree):
    one, two = load_together(tree, tree)
    assert isinstance(one, UserError) and str(one) == str(two)
    assert "n00000001_2.JPEG: cannot be decoded (unknown format), nor can 1 more; mend" in str(one)


def test_two_sets_are_refused(tree, photograph_tree, tmp_path):
    for error in load_together(tree, photograph_tree(tmp_path / "other")):
        assert "is not the same set for all processes of the run" in str(error)


def test_more_processes_than_photographs(photograph_tree, tmp_path):
    tree = photograph_tree(tmp_path / "tree", train=1, validation=1)
    for found in load_together(tree, tree, tree, tree, caches=(None,) * 4, workers=1):
        assert len(found.train) == len(found.validation) == 3
