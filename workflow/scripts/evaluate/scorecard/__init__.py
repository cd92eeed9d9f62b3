"""The scorecard: its lines, and how people see it."""
