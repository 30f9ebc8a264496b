"""Where a network runs, by the name that a user gives."""

from __future__ import annotations

import torch


def find_device(name: str | torch.device) -> torch.device:
    """
    Find a device, and see that it is there.

    :param name: as torch names it, or 'auto': 'cuda' where there is one, else 'cpu'.
    :returns: the device.
    :raises ValueError: when PyTorch knows no such device, or this machine has none.
    """
    if name == 'auto':
        name = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f'device is {name!r}; expected auto, cpu, cuda, cuda:1 or another name that PyTorch '
            f'knows') from error
    if device.type == 'cuda' and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise ValueError(f'device is {str(name)!r}; this PyTorch finds {count} CUDA devices')
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'device is {str(name)!r}; PyTorch cannot use it: {reason}') from error
    return device
