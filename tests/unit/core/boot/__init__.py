"""The next boot, computed from files."""
