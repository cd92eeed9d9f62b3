"""The workflow: rules for Snakemake, the programs that they run (``workflow.scripts``), schemas, profiles and facts."""
