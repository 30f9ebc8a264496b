"""Where the package's shared files lie: launch/, config/ and demo/."""

from pathlib import Path


def share_directory() -> Path:
    """
    Find the folder that holds launch/, config/ and demo/, with or without a ROS environment.

    :returns: the checkout, where these modules run from one; else share/videomt_ros of the prefix
        into which pip or colcon has installed them.
    :raises FileNotFoundError: the modules were copied without the shared files.
    """
    modules = Path(__file__).absolute().parent  # not resolved: colcon may have installed links
    if (modules.parent / 'package.xml').is_file():
        return modules.parent
    for prefix in modules.parents:
        share = prefix / 'share' / modules.name
        if (share / 'package.xml').is_file():
            return share
    raise FileNotFoundError(
        f'The shared files of {modules.name} were not found: expected share/{modules.name} in a '
        f'folder above {modules}; install the package with pip or colcon.')
