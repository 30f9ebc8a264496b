"""How much memory the process takes, and how it is given back when the node is cleaned up."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

import torch

_MIB = 1 << 20


def memory_values(device: torch.device | None) -> list[tuple[str, str]]:
    """
    Tell how much memory the process takes.

    :param device: on which the network runs; None without one.
    :returns: keys and values for the diagnostics.
    """
    values = []
    statistics = Path('/proc/self/statm')  # Linux has it
    if statistics.exists():
        pages = int(statistics.read_text().split()[1])
        values.append(('memory of the process [MiB]',
                       str(pages * os.sysconf('SC_PAGE_SIZE') // _MIB)))
    if device is not None and device.type == 'cuda':
        values.append((f'memory of the process on {device} [MiB]',
                       str(torch.cuda.memory_reserved(device) // _MIB)))
    return values


def give_memory_back() -> None:
    """
    Return to the system what nobody refers to any more.

    PyTorch keeps freed memory of a GPU for itself, and so does the C library with that of the
    process, which :func:`videomt_ros.ros.dds.keep_large_buffers` asks it to.
    """
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # musl, macOS
        return
