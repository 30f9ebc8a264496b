# Build the messages of a package that has no wheel.
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
foreach(_package builtin_interfaces geometry_msgs std_msgs)
  find_package(${_package} REQUIRED)
  # The wheels name folders of the machine on which they were built.
  set_target_properties(${_package}::${_package}__rosidl_generator_py
    PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "")
endforeach()

file(GLOB _messages RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" "msg/*.msg")
rosidl_generate_interfaces(${PROJECT_NAME} ${_messages} DEPENDENCIES geometry_msgs std_msgs)
ament_package()
