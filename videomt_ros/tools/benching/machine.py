"""What the machine is, and what it could do at best."""

from __future__ import annotations

from pathlib import Path
import platform
import re
import time

import torch
from torch.utils.flop_counter import FlopCounterMode
from videomt_ros.network import NetworkConfig, VideoMT


def describe_machine() -> dict[str, str | int]:
    """
    Name the machine and the software that counts.

    :returns: words for the record.
    """
    names = re.findall(r'model name\s*:\s*(.+)', Path('/proc/cpuinfo').read_text())
    words: dict[str, str | int] = {
        'cpu': names[0] if names else platform.processor(), 'threads': torch.get_num_threads(),
        'python': platform.python_version(), 'torch': torch.__version__}
    if torch.cuda.is_available():
        words['cuda'] = torch.cuda.get_device_name()
    return words


def operations(config: NetworkConfig, height: int, width: int) -> int:
    """
    Count the floating point operations of one step, of products and convolutions.

    :param config: of the network.
    :param height: of its input in pixels.
    :param width: of its input in pixels.
    :returns: the count; a multiplication and an addition are two.
    """
    with torch.device('meta'):
        network = VideoMT(config).eval()
        pixels = torch.zeros(1, 3, height, width)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(pixels)
    return int(counter.get_total_flops())


def product_milliseconds(count: int, dtype: torch.dtype, device: str = 'cpu') -> float:
    """
    Time a product of two square matrices: what the machine can do at best.

    :param count: of its operations.
    :param dtype: of the matrices.
    :param device: where.
    :returns: milliseconds.
    """
    side = round((count / 2) ** (1 / 3))
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    with torch.inference_mode():
        torch.mm(left[:64], right)
        if device == 'cuda':
            torch.cuda.synchronize()
        start = time.perf_counter()
        torch.mm(left, right)
        if device == 'cuda':
            torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1e3
