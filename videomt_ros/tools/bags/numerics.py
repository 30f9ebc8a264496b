"""The same bits every time: threads, algorithms, and the name of a set of weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
import os
from typing import Any

import cv2
import torch
from videomt_ros import __version__
from videomt_ros.network import VideoMT


def cores() -> int:
    """
    Count the processors that this process may use.

    :returns: 1 or more.
    """
    return len(os.sched_getaffinity(0))


@contextmanager
def fixed_numerics(threads: int) -> Iterator[None]:
    """
    Fix what makes results of one machine differ from run to run, and put it back afterwards.

    :param threads: of a single operation of torch on the CPU. Sums are grouped by them.
    """
    # cuBLAS reads it at its start.
    os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    before = (torch.get_num_threads(), cv2.getNumThreads(),
              torch.are_deterministic_algorithms_enabled(),
              torch.is_deterministic_algorithms_warn_only_enabled(),
              torch.backends.cudnn.benchmark)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
        torch.use_deterministic_algorithms(before[2], warn_only=before[3])
        torch.backends.cudnn.benchmark = before[4]


def weights_hash(network: VideoMT) -> str:
    """
    Give weights a name that only they have.

    :param network: on any device.
    :returns: SHA-256 over architecture and parameters, in hexadecimal.
    """
    digest = hashlib.sha256(repr(network.config).encode())
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f'{name} {tensor.dtype} {tuple(tensor.shape)}'.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def software(device: torch.device, threads: int) -> dict[str, Any]:
    """
    Say what computes, as far as it may change the last bits.

    :param device: of the weights.
    :param threads: of a single operation on the CPU.
    :returns: JSON data.
    """
    return {
        'videomt_ros': __version__, 'torch': torch.__version__,
        'opencv': cv2.__version__, 'threads': threads,
        'device': torch.cuda.get_device_name(device) if device.type == 'cuda' else device.type}
