"""Values that cross boundaries, and the protocols of tasks, backends and response stores."""
