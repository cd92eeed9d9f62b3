"""The synthetic planet: a stochastic Earth with known truth, and its files in ERA5's shape."""
