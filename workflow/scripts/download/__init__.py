"""Stage download: ERA5 and the forcing from the source that the config names."""
