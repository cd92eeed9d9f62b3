"""Scores of the summaries, and the table of them all."""
