"""What the machine is, and what it could do at best."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform
import re
import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from videomt_ros.network import NetworkConfig, VideoMT

# Of a CPU, those that decide how fast it multiplies.
_INSTRUCTIONS = (
    'avx2', 'avx512f', 'avx_vnni', 'avx512_vnni', 'avx512_bf16', 'avx512_fp16', 'amx_bf16',
    'amx_int8', 'asimd', 'asimddp', 'i8mm', 'bf16', 'sve')
_BF16 = {'avx512_bf16', 'amx_bf16', 'bf16'}
_SMALL = 1e9  # operations
_REPEATS = 3


def knows_bf16() -> bool:
    """Tell whether the CPU multiplies in bf16; one that does not is slower in it than in fp32."""
    return bool(_BF16 & _flags())


def _flags() -> set[str]:
    return set(re.findall(r'\w+', Path('/proc/cpuinfo').read_text()))


def describe_machine() -> dict[str, str | int]:
    """
    Name the machine and the software that counts.

    :returns: words for the record.
    """
    said = Path('/proc/cpuinfo').read_text()
    names = re.findall(r'model name\s*:\s*(.+)', said)
    known = _flags()
    words: dict[str, str | int] = {
        'cpu': names[0] if names else platform.processor(), 'cores': os.cpu_count() or 0,
        'threads': torch.get_num_threads(),
        'instructions': ' '.join(name for name in _INSTRUCTIONS if name in known),
        'python': platform.python_version()}
    for package in ('torch', 'openvino', 'onnxruntime', 'nncf', 'transformers'):
        try:
            words[package] = version(package)
        except PackageNotFoundError:
            continue
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

    The best of three, since another process may be in the way of one. In float32 on a CPU, by the
    faster of PyTorch's library and NumPy's, which depends on who has made the CPU. A CPU without
    bf16 instructions would take minutes over a large one in bf16: the time of a smaller one is
    scaled up there.

    :param count: of its operations.
    :param dtype: of the matrices.
    :param device: where.
    :returns: milliseconds.
    """
    small = device == 'cpu' and dtype != torch.float32 and not knows_bf16()
    side = round((min(count, _SMALL) if small else count) ** (1 / 3) / 2 ** (1 / 3))
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    ways: list[Callable[[torch.Tensor, torch.Tensor], Any]] = [torch.mm]
    if device == 'cpu' and dtype == torch.float32:
        ways.append(lambda left, right: left.numpy() @ right.numpy())
    times = []
    with torch.inference_mode():
        for way in ways * _REPEATS:
            way(left[:64], right)
            if device == 'cuda':
                torch.cuda.synchronize()
            start = time.perf_counter()
            way(left, right)
            if device == 'cuda':
                torch.cuda.synchronize()
            times.append((time.perf_counter() - start) * 1e3)
    return min(times) * count / (2 * side ** 3)
