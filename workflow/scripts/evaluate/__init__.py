"""Stage evaluate: AIMIP's metrics, the scorecard and the figures."""
