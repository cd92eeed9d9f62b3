"""What is small enough to be rounding."""

TINY = 1e-30  # keeps quotients of what is zero, as with a single year of training, from being NaN
RANK = 1e-6  # singular values this small beside the largest
