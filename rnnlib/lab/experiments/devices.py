"""Which device experiments compute on."""

from __future__ import annotations

import torch

from .. import checks

#: What may be asked for; ``"auto"`` is CUDA where PyTorch sees a device, else the CPU.
DEVICES = ("auto", "cpu", "cuda")


def choose_device(device: str = "auto") -> str:
    """The device to compute on.

    Args:
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``; ``"auto"`` is ``"cuda"`` where PyTorch sees a device, else
            ``"cpu"``. With several GPUs ``CUDA_VISIBLE_DEVICES`` says which one PyTorch sees.

    Returns:
        ``"cpu"`` or ``"cuda"``.

    Raises:
        ValueError: it is another name, or ``"cuda"`` where PyTorch sees no device.
    """
    checks.choice("device", device, DEVICES)
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: PyTorch sees no CUDA device here; leave it out to compute on the CPU")
    return device
