"""What a run learns from and is held against. Needs the standard library only."""


def reference_name(config):
    """The reference in words: ERA5, the synthetic planet, or the centre's own ``local.name``."""
    local = config["local"]["name"] or "ERA5 (local files)"
    return {"cds": "ERA5", "local": local, "synthetic": "synthetic planet"}[config["source"]]
