"""Simulations, the reference and other models' trees as small files of statistics."""
