"""Checkpoints: whole or refused, never trusted."""

import io
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from softshare.errors import UserError
from softshare.training.checkpoint import _header, load_checkpoint, save_checkpoint

IDENTITY = {"model": "wrn-16-1", "seed": 0}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "checkpoint.pt"
    save_checkpoint(path, {"identity": IDENTITY, "epoch": 3, "model": {"w": torch.arange(50.0)}})
    return path


def test_round_trip(good):
    content = load_checkpoint(good, IDENTITY)
    assert content["epoch"] == 3 and torch.equal(content["model"]["w"], torch.arange(50.0))
    assert load_checkpoint(good.with_name("absent.pt"), IDENTITY) is None
    assert [path.name for path in good.parent.iterdir()] == ["checkpoint.pt"]


@given(st.data())
@pytest.mark.attack("a checkpoint cut or altered anywhere")
def test_truncated_or_altered_anywhere_is_refused(good, data):
    raw = bytearray(good.read_bytes())
    damaged = good.with_name("damaged.pt")
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged.write_bytes(raw)
    try:
        with pytest.raises(UserError, match=r"damaged\.pt.*delete it"):
            load_checkpoint(damaged, IDENTITY)
    finally:
        damaged.unlink()


@pytest.mark.parametrize(
    ("identity", "key"),
    [
        ({"model": "wrn-16-1", "seed": 1}, "seed"),
        ({"model": "wrn-16-2", "seed": 0}, "model"),
        (IDENTITY | {"x": 1}, "x"),
    ],
)
def test_another_run_s_checkpoint_names_the_difference(good, identity, key):
    with pytest.raises(UserError, match=rf"checkpoint\.pt: {key}:"):
        load_checkpoint(good, identity)


def test_a_pickle_that_would_run_code_does_not(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    for payload in (pickle.dumps(Evil()), _zipped(Evil())):
        path = tmp_path / "checkpoint.pt"
        path.write_bytes(_header(payload) + payload)
        with pytest.raises(UserError, match="cannot be read"):
            load_checkpoint(path, IDENTITY)
        assert not (tmp_path / "ran").exists()


def _zipped(value):
    buffer = io.BytesIO()
    torch.save({"identity": value}, buffer)
    return buffer.getvalue()


def test_a_write_that_fails_leaves_the_old_one(good, monkeypatch):
    before = good.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="No space left"):
        save_checkpoint(good, {"identity": IDENTITY, "epoch": 4})
    assert good.read_bytes() == before
    assert [path.name for path in good.parent.iterdir()] == ["checkpoint.pt"]


@pytest.mark.parametrize(
    ("key", "left_with", "way"),
    [
        ("threads", 4, "say --threads 4; or use another --out"),
        ("precision", "bf16", "say --precision bf16; or use another --out"),
        ("torch", "2.14.1+cpu", r"go on with torch 2\.14\.1\+cpu; or use another --out"),
        ("compiled synthesis", True, "where a C compiler is, .* installed as it was there; or use another --out"),
        ("threads", None, "None, this one has 'another'; use another --out"),
        ("seed", 1, "1, this one has 'another'; use another --out"),
    ],
)
def test_what_was_left_elsewhere_tells_how_to_go_on(tmp_path, key, left_with, way):
    save_checkpoint(tmp_path / "checkpoint.pt", {"identity": {"device": "cpu", key: left_with}})
    with pytest.raises(UserError, match=way):
        load_checkpoint(tmp_path / "checkpoint.pt", {"device": "cpu", key: "another"})


def test_of_a_c_compiler_on_a_gpu_nothing_is_asked(tmp_path):
    """Runs there told it once, and go on."""
    save_checkpoint(tmp_path / "checkpoint.pt", {"identity": {"device": "cuda", "compiled synthesis": True}})
    assert load_checkpoint(tmp_path / "checkpoint.pt", {"device": "cuda"})
