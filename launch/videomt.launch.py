"""
Start the node videomt on one camera.

    ros2 launch videomt_ros videomt.launch.py image:=/camera/image_raw checkpoint:=<folder>
"""

import os

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from videomt_ros.ros.dds import profile_environment
from videomt_ros.share import share_directory

# Arguments that set the parameter of the same name; empty leaves it to the params file.
PARAMETERS = {
    'checkpoint': (str, 'weights: folder, .pth file or hub id'),
    'task': (str, 'what is made of a frame'),
    'device': (str, 'where the network runs: cpu, cuda, ...'),
    'target_frame': (str, 'frame of positions, such as map; needs depth and camera_info'),
    'image_transport': (str, 'raw or compressed'),
    'autostart': (bool, 'false: wait for a lifecycle manager'),
    'use_sim_time': (bool, 'take the time from /clock'),
}


def start_node(context):
    given = {name: ParameterValue(LaunchConfiguration(name), value_type=kind)
             for name, (kind, _) in PARAMETERS.items()
             if LaunchConfiguration(name).perform(context)}
    return [Node(
        package='videomt_ros', executable='videomt_node', output='screen',
        name=LaunchConfiguration('name'), namespace=LaunchConfiguration('namespace'),
        parameters=[LaunchConfiguration('params_file'), given],
        remappings=[(name, LaunchConfiguration(name))
                    for name in ('image', 'depth', 'camera_info')])]


def generate_launch_description():
    params_file = share_directory() / 'config' / 'videomt.yaml'
    return LaunchDescription([
        DeclareLaunchArgument('image', default_value='image', description='topic of the images'),
        DeclareLaunchArgument('depth', default_value='depth',
                              description='topic of depth images that match the images'),
        DeclareLaunchArgument('camera_info', default_value='camera_info',
                              description='topic of the calibration'),
        DeclareLaunchArgument('params_file', default_value=str(params_file),
                              description='file of parameters, see config/videomt.yaml'),
        DeclareLaunchArgument('name', default_value='videomt', description='name of the node'),
        DeclareLaunchArgument('namespace', default_value='', description='namespace of the node'),
        *(DeclareLaunchArgument(name, default_value='', description=description)
          for name, (_, description) in PARAMETERS.items()),
        # For every process of this launch: what counts is that the camera's driver has it.
        *(SetEnvironmentVariable(name, value)
          for name, value in profile_environment(os.environ).items()),
        OpaqueFunction(function=start_node),
    ])
