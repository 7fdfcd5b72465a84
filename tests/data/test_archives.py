"""Sources that cannot be trusted: archives, pickles, downloads."""

import hashlib
import http.server
import io
import os
import pickle
import tarfile
import threading
import zipfile

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from softshare.data import archives
from softshare.data.archives import read_archive
from softshare.data.images import load_images
from softshare.data.safe_pickle import read_pickle
from softshare.errors import UserError

pytestmark = pytest.mark.attack("archives, pickles and downloads that are hostile or damaged")


class TestArchives:
    @pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
    @pytest.mark.parametrize("kept", [0.01, 0.3, 0.5, 0.8])
    def test_truncated(self, tiny, tmp_path, name, kept, pack):
        archive = pack(tiny.write_class_folders(tmp_path / "x"), tmp_path / name)
        content = archive.read_bytes()
        archive.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(UserError, match=rf"{name}: cannot be read as a tar archive .* truncated"):
            load_images("cifar10", archive)

    def test_truncated_between_two_members(self, tiny, tmp_path, pack):
        archive = pack(tiny.write_class_folders(tmp_path / "x"), tmp_path / "a.tar")
        with tarfile.open(archive) as tar:
            offset = [member.offset for member in tar if member.isfile()][30]
        archive.write_bytes(archive.read_bytes()[:offset])
        with pytest.raises(UserError, match=r"a\.tar"):
            load_images("cifar10", archive)

    def test_a_damaged_byte(self, tiny, tmp_path, pack):
        archive = pack(tiny.write_batches(tmp_path / "x"), tmp_path / "a.tar.gz")
        content = bytearray(archive.read_bytes())
        content[len(content) // 2] ^= 255
        archive.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.tar\.gz"):
            load_images("cifar10", archive)

    def test_something_else(self, tmp_path):
        (tmp_path / "a.tar.gz").write_text("not an archive")
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.writestr("train/cat/1.png", b"")
        for name in ("a.tar.gz", "a.zip"):
            with pytest.raises(UserError, match=rf"{name}: cannot be read as a tar archive"):
                load_images("cifar10", tmp_path / name)

    def test_missing(self, tmp_path):
        with pytest.raises(UserError, match=r"a\.tar\.gz: no such file"):
            load_images("cifar10", tmp_path / "a.tar.gz")

    def test_without_images(self, tmp_path, pack):
        (tmp_path / "x").mkdir()
        (tmp_path / "x/readme").write_text("nothing")
        with pytest.raises(UserError, match=r"a\.tar: holds no images of the dataset; either data_batch_1"):
            load_images("cifar10", pack(tmp_path / "x", tmp_path / "a.tar"))

    def test_links_devices_and_paths_that_lead_outside(self, tmp_path):
        with tarfile.open(tmp_path / "a.tar", "w") as tar:
            for name, kind in (
                ("link", tarfile.SYMTYPE),
                ("hard", tarfile.LNKTYPE),
                ("device", tarfile.CHRTYPE),
            ):
                member = tarfile.TarInfo(name)
                member.type, member.linkname = kind, "/etc/hostname"
                tar.addfile(member)
            member = tarfile.TarInfo("../outside")
            member.size = 3
            tar.addfile(member, io.BytesIO(b"abc"))
        before = sorted(tmp_path.parent.rglob("*"))
        files = read_archive(tmp_path / "a.tar", lambda name: True)
        assert files.contents == {"../outside": b"abc"}
        assert sorted(tmp_path.parent.rglob("*")) == before

    def test_far_too_large(self, tiny, tmp_path, monkeypatch, pack):
        archive = pack(tiny.write_batches(tmp_path / "x"), tmp_path / "a.tar.gz")
        monkeypatch.setattr(archives, "MOST_BYTES", 100_000)
        with pytest.raises(UserError, match=r"a\.tar\.gz: holds more data"):
            load_images("cifar10", archive)


class Runs:
    """Unpickled, it makes a folder."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


class TestPickles:
    def test_one_that_would_run_code_does_not(self, tiny, tmp_path):
        folder = tiny.write_batches(tmp_path / "data")
        target = tmp_path / "made"
        (folder / "data_batch_2").write_bytes(pickle.dumps({"data": Runs(target)}))
        with pytest.raises(UserError, match=r"data_batch_2: asks for (posix|nt)\.mkdir.*not run"):
            load_images("cifar10", folder)
        assert not target.exists()

    @pytest.mark.parametrize("name", ["builtins eval", "numpy load", "numpy.core.multiarray scalar", "os system"])
    def test_other_names_are_refused(self, name):
        module, attribute = name.split()
        content = f"c{module}\n{attribute}\n.".encode()
        with pytest.raises(UserError, match=f"a file: asks for {module}.{attribute}"):
            read_pickle(content, "a file")

    def test_dotted_names_are_refused(self):
        content = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."
        with pytest.raises(UserError, match=r"asks for numpy\.ndarray\.tofile"):
            read_pickle(content, "a file")

    @pytest.mark.parametrize("values", [np.array([object()]), np.zeros(3), np.array(["text"])])
    def test_arrays_of_anything_but_whole_numbers(self, values):
        with pytest.raises(UserError, match="a file"):
            read_pickle(pickle.dumps({"data": values}, 4), "a file")

    @pytest.mark.parametrize("number", [b"r\xff\xff\xff\x7f", b"p2147483647\n"])
    def test_few_bytes_that_ask_for_gigabytes(self, number):
        with pytest.raises(UserError, match="numbers an object 2147483647"):
            read_pickle(b"\x80\x02}" + number + b".", "a file")

    @pytest.mark.parametrize("protocol", range(2, 6))
    @pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_arrays_come_back(self, protocol, dtype, order):
        values = np.asarray(np.arange(12).reshape(3, 4), dtype, order=order)
        found = read_pickle(pickle.dumps({"data": values}, protocol), "a file")["data"]
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, values)

    def test_states_on_the_stand_ins_are_refused(self):
        for value in (b"c_codecs\nencode\n", b"cnumpy\nndarray\n", b"cnumpy\ndtype\n"):
            with pytest.raises(UserError, match="a file"):
                read_pickle(value + b"}b.", "a file")


@pytest.fixture
def server(tiny, tmp_path, monkeypatch, pack):
    """A small archive of CIFAR-10 on a server on this machine, where torchvision is told to find it."""
    folder = tiny.write_batches(tmp_path / "origin")
    (tmp_path / "served").mkdir()
    archive = pack(folder, tmp_path / "served/cifar-10-python.tar.gz", "cifar-10-batches-py")

    def md5(path):
        return hashlib.md5(path.read_bytes()).hexdigest()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=tmp_path / "served")

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{listening.server_port}/{archive.name}")
        monkeypatch.setattr(CIFAR10, "tgz_md5", md5(archive))
        names = [f"data_batch_{number}" for number in range(1, 6)]
        monkeypatch.setattr(CIFAR10, "train_list", [[name, md5(folder / name)] for name in names])
        monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", md5(folder / "test_batch")]])
        monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5(folder / "batches.meta")})
        yield archive
        listening.shutdown()
        thread.join()


class TestDownload:
    def test_where_nothing_is_said_and_only_once(self, server, tiny, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("SOFTSHARE_DATA_CIFAR10", raising=False)
        target = tmp_path / "results/data/cifar10"
        found = load_images("cifar10")
        assert torch.equal(found.train_images, torch.from_numpy(tiny.train_images))
        assert [path.name for path in target.iterdir()] == ["cifar-10-batches-py"]
        server.unlink()
        assert load_images("cifar10", target).fingerprint == found.fingerprint

    def test_another_process_was_faster(self, server, tiny, tmp_path, monkeypatch):
        target = tmp_path / "shared"
        target.mkdir()
        download = CIFAR10.download

        def slow(self):
            download(self)
            tiny.write_batches(target / "cifar-10-batches-py")

        monkeypatch.setattr(CIFAR10, "download", slow)
        found = load_images("cifar10", target)
        assert torch.equal(found.train_images, torch.from_numpy(tiny.train_images))

    def test_a_wrong_checksum(self, server, tmp_path):
        server.write_bytes(server.read_bytes()[:-100])
        (tmp_path / "target").mkdir()
        with pytest.raises(UserError, match=r"target: holds no cifar10, and the download failed .*corrupted"):
            load_images("cifar10", tmp_path / "target")
        assert list((tmp_path / "target").iterdir()) == []

    def test_not_found(self, server, tmp_path):
        server.unlink()
        with pytest.raises(UserError, match=r"download failed \(.*404.*set the dataset's path to cifar-10-python"):
            load_images("cifar10", tmp_path)

    @pytest.mark.parametrize("name", ["cifar", "cifar-10-batches-py/", "cifar-10-python.tar.gz"])
    def test_a_path_that_is_not_there_is_a_slip_and_no_download(self, server, tmp_path, name):
        with pytest.raises(UserError, match=r"no such file or folder; make the folder first to have it downloaded"):
            load_images("cifar10", tmp_path / name)
        assert not (tmp_path / name).exists()

    @pytest.mark.parametrize("name, archive", [("cifar10", "cifar-10"), ("cifar100", "cifar-100")])
    def test_no_network(self, offline, tmp_path, name, archive):
        with pytest.raises(UserError, match=f"holds no {name}, and the download failed .* {archive}-python.tar.gz"):
            load_images(name, tmp_path)

    def test_a_folder_that_cannot_be_made(self, offline, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("SOFTSHARE_DATA_CIFAR10", raising=False)
        (tmp_path / "results").write_text("")
        with pytest.raises(UserError, match=r"results/data/cifar10: holds no cifar10, and the download failed"):
            load_images("cifar10")
