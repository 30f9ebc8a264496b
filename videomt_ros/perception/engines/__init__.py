"""Ways to run the network, behind one small interface."""

from .choice import choose_engine, EngineChoice, ENGINES, make_engine, PRECISIONS
from .engine import Engine, EngineError

__all__ = [
    'ENGINES', 'PRECISIONS', 'Engine', 'EngineChoice', 'EngineError', 'choose_engine',
    'make_engine']
