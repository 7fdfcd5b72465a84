"""The library where nothing is installed but what it stands on, as after `pip install --no-deps`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[2]
STANDS_ON = {"numpy", "safetensors", "scipy", "torch"}
MODULES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}

USED = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split():
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]

import torch
import softshare

model = softshare.share(torch.nn.Sequential(*[torch.nn.Conv2d(4, 4, 3, padding=1) for _ in range(4)]), templates=1)
optimizer = torch.optim.SGD(softshare.parameter_groups(model, weight_decay=1e-4), lr=0.1)
(model(torch.randn(2, 4, 8, 8)).sum() - 0.01 * softshare.recurrence_penalty(model)).backward()
optimizer.step()
((group, matrix),) = softshare.layer_similarity(model).items()
softshare.chance_similarity(4, 1)
folded = softshare.fold(model, threshold=0.8)
assert str(softshare.find_folding(model, threshold=0.8)).startswith("network: (a) x 4"), folded

network = softshare.create_model("swrn-16-1-2", num_classes=10)
images = torch.randn(2, 3, 32, 32)
folded = softshare.fold(network, threshold=0.5).eval()
softshare.save_folded(folded, sys.argv[2], "swrn-16-1-2", num_classes=10)
assert torch.equal(softshare.load_folded(sys.argv[2])(images), folded(images))
print("done", *sorted(name for name in sys.argv[1].split() if name in sys.modules))
"""


def test_sharing_and_folding_need_torch_numpy_scipy_and_safetensors_alone(tmp_path: Path) -> None:
    requirements = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.match(r"[a-z0-9-]+", requirement)[0] for requirement in requirements}
    assert names > STANDS_ON
    # jinja2 is torch's own, too.
    blocked = sorted(MODULES.get(name, name) for name in names - STANDS_ON - {"jinja2"})

    done = subprocess.run(
        [sys.executable, "-c", USED, " ".join(blocked), str(tmp_path / "folded.safetensors")],
        cwd=PROJECT, capture_output=True, text=True,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
