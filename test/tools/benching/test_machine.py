"""What the machine could do at best is timed on whole products, and the best time counts."""

import pytest
import torch
from videomt_ros.tools.benching import machine


@pytest.fixture
def clock(monkeypatch):
    """Let three products take 5, 2 and 9 seconds, and note how large they are."""
    ticks = iter([0, 5, 10, 12, 20, 29])
    sides = []
    monkeypatch.setattr(machine.time, 'perf_counter', lambda: next(ticks))
    monkeypatch.setattr(torch, 'mm', lambda left, right: sides.append(len(right)))
    return sides


@pytest.mark.parametrize('count', [2 * 32 ** 3, 2 * 1000 ** 3])
def test_the_best_of_three_counts(clock, monkeypatch, count):
    monkeypatch.setattr(machine, 'knows_bf16', lambda: True)
    assert machine.product_milliseconds(count, torch.bfloat16) == pytest.approx(2000)
    assert {2 * side ** 3 for side in clock} == {count}


def test_without_bf16_instructions_a_small_product_is_scaled_up(clock, monkeypatch):
    monkeypatch.setattr(machine, 'knows_bf16', lambda: False)
    found = machine.product_milliseconds(2 * 1000 ** 3, torch.bfloat16)
    assert found == pytest.approx(2000 * 2, rel=0.01)
    assert set(clock) == {794}  # 10 ** 9 operations
