"""What a run learns from and is held against. Needs the standard library only."""

ERA5 = "ERA5"
LOCAL_ERA5 = "ERA5 (local files)"


def reference_name(config):
    """The reference in words: ERA5, the synthetic planet, or the centre's own ``local.name``."""
    local = config["local"]["name"] or LOCAL_ERA5
    return {"cds": ERA5, "local": local, "synthetic": "synthetic planet"}[config["source"]]
