"""What a submission is, for all who write, check or read one: names, trees, derived variables, CMOR's Python."""
