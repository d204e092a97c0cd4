"""Every random number comes from (seed, purpose, epoch).

So neither the order of trials nor a resumed run nor a new consumer of random numbers changes anything.
"""

import hashlib

import torch


def derive_seed(seed: int, purpose: str, epoch: int = 0) -> int:
    """Derive the seed of one random stream, a 63-bit integer; streams are independent of each other."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{epoch}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def derive(seed: int, purpose: str, epoch: int = 0, device: str | torch.device = "cpu") -> torch.Generator:
    """Return the generator of one random stream on a device."""
    return torch.Generator(device).manual_seed(derive_seed(seed, purpose, epoch))
