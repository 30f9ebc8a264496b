#include <videomt_ros/msg/track_array.hpp>

int main()
{
  videomt_ros::msg::TrackArray tracks;
  tracks.tracks.resize(1);
  tracks.tracks[0].state = videomt_ros::msg::Track::STATE_ENDED;
  return tracks.tracks[0].state == 4 ? 0 : 1;
}
