"""What `videomt_bench` measures, and how."""
