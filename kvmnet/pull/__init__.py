"""Pull mode: this host follows a git repository of rendered states."""
