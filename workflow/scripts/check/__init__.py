"""Stage check: rules on files, simulations and submissions, ours and anybody's."""
