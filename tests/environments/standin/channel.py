"""Makes a channel of files: a `python` that is this one's interpreter, and other packages that hold nothing."""

import asyncio
import hashlib
import io
import json
import os
import sys
import tarfile
from pathlib import Path

from rattler.index import index_fs

EPOCH = 1_700_000_000


def make_channel(folder: Path, packages: list[str]) -> None:
    """Makes a channel that holds this Python, and packages told as `name=version`."""
    for platform in ("linux-64", "noarch"):
        (folder / platform).mkdir(parents=True)
    _write_python(folder)
    for package in packages:
        name, version = package.split("=")
        _write(folder, name, version, files={}, links={})
    asyncio.run(index_fs(folder, force=True))


def _write_python(folder: Path) -> None:
    """An interpreter with folders of its own, as a virtual environment is one."""
    interpreter = os.path.realpath(sys._base_executable)
    version, short = ".".join(map(str, sys.version_info[:3])), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    settings = f"home = {Path(interpreter).parent}\ninclude-system-site-packages = false\nversion = {version}\n"
    files = {
        "pyvenv.cfg": settings.encode(),
        f"lib/{short}/site-packages/README.txt": b"packages of this environment\n",
    }
    links = {"bin/python": interpreter, "bin/python3": "python", f"bin/{short}": "python"}
    _write(folder, "python", version, files, links, python_site_packages_path=f"lib/{short}/site-packages")


def _write(folder: Path, name: str, version: str, files: dict, links: dict, **more: str) -> None:
    index = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": [], "subdir": "linux-64"}
    index |= {"arch": "x86_64", "platform": "linux", "timestamp": EPOCH * 1000, **more}
    paths = [
        {"_path": path, "path_type": "hardlink", "sha256": _sha256(content), "size_in_bytes": len(content)}
        for path, content in files.items()
    ]
    paths += [{"_path": path, "path_type": "softlink", "sha256": _sha256(b""), "size_in_bytes": 0} for path in links]
    about = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": paths, "paths_version": 1}).encode(),
        "info/files": "".join(f"{path}\n" for path in [*files, *links]).encode(),
    }
    with tarfile.open(folder / "linux-64" / f"{name}-{version}-0.tar.bz2", "w:bz2") as archive:
        for path, content in {**files, **about}.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime = len(content), EPOCH
            archive.addfile(entry, io.BytesIO(content))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname, entry.mtime = tarfile.SYMTYPE, target, EPOCH
            archive.addfile(entry)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    make_channel(Path(sys.argv[1]), sys.argv[2:])
    os._exit(0)  # rattler's threads may abort a Python that takes itself down
