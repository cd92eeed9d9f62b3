"""Metrics as plain functions of arrays, and the table of them all."""
