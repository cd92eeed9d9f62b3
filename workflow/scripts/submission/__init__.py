"""What a submission is, for all who write, check or read one: names, attributes, trees, derivations, CMOR's Python."""
