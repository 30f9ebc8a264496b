"""Metrics of video segmentation, and what it takes to measure a network by them."""

from .evaluation import as_json, measure, Scores, summarise, VideoMeasures
from .ground_truth import AnnotatedVideo, GroundTruth, read_ground_truth
from .predict import match_classes, Prediction, track_offline, track_online
from .results import read_results, write_results
from .tracks import ScoredTrack
from ..run_lengths import encode

__all__ = [
    'AnnotatedVideo', 'GroundTruth', 'Prediction', 'Scores', 'ScoredTrack', 'VideoMeasures',
    'as_json', 'encode', 'match_classes', 'measure', 'read_ground_truth', 'read_results',
    'summarise', 'track_offline', 'track_online', 'write_results']
