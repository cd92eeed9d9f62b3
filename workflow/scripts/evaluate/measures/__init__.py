"""What is computed of arrays alone: means and memory along time, means over area, spectra, indices, rain, ensembles."""
