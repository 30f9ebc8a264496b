"""The program ``videomt_node``: the process around the lifecycle node."""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from videomt_ros.ros.dds import keep_large_buffers, profile_environment

if TYPE_CHECKING:
    from videomt_ros.ros.lifecycle import VideomtNode

_LONGEST_WAIT_S = 0.5  # for a signal to be noticed


class _Stop:
    """
    What SIGINT and SIGTERM do: end the start at once, or the node after the callback at work.

    Ctrl-C reaches a launched node twice, from the terminal and from launch; the second one must
    not disturb the clean-up.
    """

    def __init__(self) -> None:
        self.asked = self.spinning = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if first and not self.spinning:
            raise KeyboardInterrupt


def main(argv: list[str] | None = None) -> int:
    """
    Run the node until SIGINT or SIGTERM.

    :param argv: command line with ROS arguments, ``sys.argv`` by default.
    :returns: 0 after a signal; 1 when the node could not start, and the log says why in a line.
    """
    stop = _Stop()
    keep_large_buffers()
    os.environ.update(profile_environment(os.environ))
    try:
        # rclpy's own handlers would take the context from the worker in the middle of a frame.
        rclpy.init(args=argv, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # arguments that rcl does not understand
        print(f'videomt_node: {error}', file=sys.stderr)
        return 1
    try:
        return _run(stop)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        rclpy.try_shutdown()
        # Python would look through all that torch has made, for seconds, before the process ends;
        # launch calls that hanging, and kills it.
        gc.freeze()


def _run(stop: _Stop) -> int:
    # Loading torch takes seconds, in which a signal shall end the program as cleanly as later.
    from videomt_ros.ros.lifecycle import VideomtNode
    from videomt_ros.ros.parameters import ParameterError
    try:
        node = VideomtNode()
    except ParameterError as error:
        rclpy.logging.get_logger('videomt').fatal(str(error))
        return 1
    try:
        if node.parameters.settings.autostart and not _autostart(node):
            return 1
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        stop.spinning = True
        while rclpy.ok() and not stop.asked:
            executor.spin_once(timeout_sec=_LONGEST_WAIT_S)
    finally:
        node.destroy_node()
    return 0


def _autostart(node: VideomtNode) -> bool:
    success = TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success


if __name__ == '__main__':
    sys.exit(main())
