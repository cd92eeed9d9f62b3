"""The config as a run has it: config/config.yaml and the overlays of it that ``--configfile`` names."""

from pathlib import Path

import yaml
from snakemake.utils import update_config

CONFIG = Path(__file__).parents[1] / "config/config.yaml"


def merged_config(overlays=()):
    """config/config.yaml with ``overlays`` (paths) merged as Snakemake merges them."""
    config: dict = {}
    for path in (CONFIG, *overlays):
        update_config(config, yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    return config
