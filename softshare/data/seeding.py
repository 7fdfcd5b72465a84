"""Seeds of an epoch: a stable hash, so that an epoch can be drawn anew without the epochs before it."""

from __future__ import annotations

import hashlib

from softshare.errors import UserError

LARGEST_SEED = 2**32 - 1


def require_seed(seed: int) -> None:
    """Refuses a seed that is none.

    Raises:
        UserError: It is not from 0 to `LARGEST_SEED`.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise UserError(f"must be a whole number from 0 to {LARGEST_SEED:,}", key="seed", value=seed)


def epoch_seed(seed: int, epoch: int, purpose: str) -> int:
    """A seed for one use of randomness in one epoch, the same in every process and on every machine.

    Args:
        seed: The run's seed.
        epoch: The epoch, counted from 0.
        purpose: What is drawn, such as `"order"`; two purposes draw independently.

    Returns:
        A number from 0 to 2^63 - 1, which any generator takes.
    """
    digest = hashlib.sha256(f"{int(seed)}/{int(epoch)}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
