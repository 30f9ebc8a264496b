"""What a task of a fleet may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Slots:
    """
    Where tasks run, and what each of them gets.

    :param address: of a Ray cluster; ``local`` starts one on this machine for as long as it takes.
    :param cpus: processors of a task, may be a fraction.
    :param gpus: GPUs of a task, may be a fraction.
    :param retries: how often a task is tried again after its worker was lost.
    :param per_camera: a task for each camera instead of each recording.
    """

    address: str = 'local'
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 2
    per_camera: bool = False
