"""Command line programs; may import anything below them."""
