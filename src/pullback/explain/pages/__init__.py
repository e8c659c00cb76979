"""Interactive pages: the graph of a function, and the report of a training run."""
