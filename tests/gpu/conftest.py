"""What runs on a GPU is tested where there is one, and skipped elsewhere."""

from pathlib import Path

import pytest
import torch

from softshare.training.device import use_precision


def pytest_collection_modifyitems(items):
    """Skips what is in this folder on a machine without a GPU."""
    if torch.cuda.is_available():
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="there is no GPU here"))


@pytest.fixture
def gpu():
    return torch.device("cuda")


@pytest.fixture(autouse=True)
def as_the_engine_computes():
    """IEEE fp32 and algorithms that repeat themselves, as `Resumable` sets them; and as they were afterwards."""
    flags = torch.backends.cudnn.deterministic, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.deterministic = True
    use_precision("fp32", torch.device("cuda"))
    yield
    torch.backends.cudnn.deterministic, torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = flags
    torch.cuda.set_sync_debug_mode("default")
