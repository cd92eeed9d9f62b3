"""What several stages share: months, grids, tables, settings, files that appear whole, logging."""
