"""Monthly Diffusion (MD): a conditional spectral autoencoder with latent diffusion for monthly climate fields.

The package knows nothing of the workflow around it: it meets the rest of the project in files.
`python -m model.train`, `python -m model.rollout`, `python -m model.published` and `python -m model.benchmark`
are its programs; `model.monthly_diffusion.MonthlyDiffusion` is its interface in Python.
"""
