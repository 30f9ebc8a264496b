"""Frames in, tracks and masks out, with a memory per camera; imports neither ROS nor tools."""

from .draw import overlay
from .result import FrameResult, Instance, TrackState
from .segmenter import FrameInput, VideoSegmenter

__all__ = ['FrameInput', 'FrameResult', 'Instance', 'TrackState', 'VideoSegmenter', 'overlay']
