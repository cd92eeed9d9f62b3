"""Stage normalize: statistics of the training period, and normalized files for the model."""
