"""The line that a failed command ends with: told once, also where several processes train one network."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

# Set where `training.launch` started the processes: it tells the line of the one that failed first.
LAUNCHED = "SOFTSHARE_LAUNCHED"

# Of a training that a signal stopped.
GOES_ON = "the same command goes on from the last checkpoint"


def is_first_process() -> bool:
    """Whether this is the first of the processes that `torchrun` started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def tell(line: str) -> None:
    """Prints a line on standard error; of several processes the first does.

    The others leave theirs where `torchrun`, which ends all when one fails, looks for what was wrong with each; it is
    told then if the first did not fail.
    """
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if file and os.environ.get("WORLD_SIZE", "1") != "1":
        try:
            Path(file).write_text(json.dumps({"message": line, "timestamp": int(time.time())}))
        except OSError:  # of a full disk: then it is better told twice than not at all
            pass
        else:
            if LAUNCHED in os.environ or not is_first_process():
                return
    print(line, file=sys.stderr)
