"""The VidEoMT network and its checkpoints; imports neither ROS nor anything above it."""

from .checkpoint import load_network
from .config import NetworkConfig, Preprocessing
from .errors import CheckpointError
from .videomt import FrameTokens, QueryState, VideoMT, VideoMTOutput

__all__ = [
    'CheckpointError', 'FrameTokens', 'NetworkConfig', 'Preprocessing', 'QueryState', 'VideoMT',
    'VideoMTOutput', 'load_network']
