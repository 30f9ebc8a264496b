"""
What large images ask of the middleware and of the process: see config/fastdds_large_images.xml.

Fast DDS as it comes loses best-effort images above about 512 KB and delays reliable ones. The
profile cures that where the SENDER runs with it, so launch files set it for all that they start.
"""

from __future__ import annotations

from collections.abc import Mapping
import ctypes
import os
from pathlib import Path

from rclpy.utilities import get_rmw_implementation_identifier
from videomt_ros.share import share_directory

_FAST_DDS_2 = ('humble', 'iron', 'jazzy')  # the distributions; all newer ones have Fast DDS 3
_VARIABLE_2, _VARIABLE_3 = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
_USERS_OWN = (_VARIABLE_2, _VARIABLE_3, 'FASTDDS_BUILTIN_TRANSPORTS')
# Fast DDS takes them from the working directory.
_USERS_FILES = ('DEFAULT_FASTRTPS_PROFILES.xml', 'DEFAULT_FASTDDS_PROFILES.xml')

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MIB = 1 << 20


def profile_path() -> Path:
    """
    Find the DDS profile that the package ships.

    :returns: path of config/fastdds_large_images.xml.
    """
    return share_directory() / 'config' / 'fastdds_large_images.xml'


def _profile_variable(environment: Mapping[str, str]) -> str:
    """
    Name the variable that tells Fast DDS its profile; the wrong one earns a warning or nothing.

    :param environment: of the process.
    :returns: the name for the distribution that is sourced.
    """
    return _VARIABLE_2 if environment.get('ROS_DISTRO') in _FAST_DDS_2 else _VARIABLE_3


def profile_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """
    Say which variable makes Fast DDS use the profile.

    :param environment: of the process, usually ``os.environ``.
    :returns: the variable to add; empty where the user has chosen transports or profiles of their
        own, by a variable or by a file in the working directory.
    """
    if any(map(environment.get, _USERS_OWN)) or any(Path(name).exists() for name in _USERS_FILES):
        return {}
    return {_profile_variable(environment): str(profile_path())}


def large_image_remedy(sender: str) -> str:
    """
    Say how large images get through.

    :param sender: name of the node that publishes them.
    :returns: the second half of a sentence.
    """
    middleware = get_rmw_implementation_identifier()
    if 'fastrtps' not in middleware:
        return f'give {sender} and this node larger buffers, see the manual of {middleware}'
    return (f'start {sender} with the environment variable '
            f'{_profile_variable(os.environ)}={profile_path()}')


def keep_large_buffers() -> bool:
    """
    Tell glibc to keep the memory of large buffers for the next image.

    Otherwise each image's buffers go back to the kernel, and paging them in again costs several
    milliseconds per image. Call once, at the start of a process.

    :returns: False where the C library has no such settings (musl, macOS).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    settings = ((_M_MMAP_THRESHOLD, 32 * _MIB), (_M_TRIM_THRESHOLD, 256 * _MIB),
                (_M_TOP_PAD, 64 * _MIB))
    return {mallopt(name, value) for name, value in settings} == {1}
