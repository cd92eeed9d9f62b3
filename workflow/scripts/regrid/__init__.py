"""Stage regrid: from ERA5's grid to the model's."""
