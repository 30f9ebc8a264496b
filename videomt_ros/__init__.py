"""
Video segmentation and tracking for ROS 2 with VidEoMT.

The messages ``videomt_ros.msg`` are generated from ``msg/*.msg`` by the build. Where they lie in
another folder than these modules (a development install, see setup.py), the path is extended so
that both are one package.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)

__version__ = '0.1.0'
