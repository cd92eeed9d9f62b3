"""Monthly Diffusion (MD): a conditional spectral autoencoder with latent diffusion for monthly climate fields.

The package knows nothing of the workflow around it: it meets the rest of the project in files.
Its programs, each `python -m model.NAME`, are train, rollout, long_run, response, published and benchmark;
`model.monthly_diffusion.MonthlyDiffusion` is its interface in Python. docs/model.md says which module does what.
"""
