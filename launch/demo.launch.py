"""
Play the recording that comes with the package, in a loop, to the node; RViz shows what it sees.

    ros2 launch videomt_ros demo.launch.py
"""

from ament_index_python.packages import get_package_prefix, PackageNotFoundError
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from videomt_ros.share import share_directory


def is_installed(package):
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def generate_launch_description():
    share = share_directory()
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / 'launch' / 'videomt.launch.py')),
        launch_arguments={name: LaunchConfiguration(name)
                          for name in ('image', 'depth', 'camera_info', 'checkpoint')}.items())
    return LaunchDescription([
        DeclareLaunchArgument('bag', default_value=str(share / 'demo' / 'drive'),
                              description='rosbag2 recording'),
        DeclareLaunchArgument('image', default_value='/camera/image_raw',
                              description='topic of its images'),
        DeclareLaunchArgument('depth', default_value='/camera/depth/image_raw',
                              description='topic of its depth images'),
        DeclareLaunchArgument('camera_info', default_value='/camera/camera_info',
                              description='topic of its calibration'),
        DeclareLaunchArgument('checkpoint', default_value='',
                              description='weights; empty = those that come with the package'),
        DeclareLaunchArgument('rviz', default_value=str(is_installed('rviz2')).lower(),
                              description='start RViz; true where it is installed'),
        node,
        Node(package='videomt_ros', executable='videomt_play', name='videomt_play',
             output='screen', arguments=[LaunchConfiguration('bag'), '--loop']),
        Node(package='rviz2', executable='rviz2', name='rviz2',
             arguments=['-d', str(share / 'config' / 'videomt.rviz')],
             condition=IfCondition(LaunchConfiguration('rviz'))),
    ])
