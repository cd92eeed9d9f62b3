"""Stage publish: what goes with the files of a submission."""
