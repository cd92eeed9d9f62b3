"""Where the data of a run come from: one folder holds those of one source."""

import json
from pathlib import Path


def refuse_other_source(source, folder):
    """Raise ValueError in one sentence if the records of the downloads in ``folder`` name another source.

    Snakemake would remove what is there to make room for the new: days in the queue of the Climate Data Store, and all
    that was made of it. ``source``: cds, synthetic or local, of the config.
    """
    for record in sorted(Path(folder).glob("*-levels/*.json")):
        found = json.loads(record.read_text(encoding="utf-8")).get("source", source)
        if found != source:
            raise ValueError(
                f"config: 'source' is '{source}', but '{folder}' holds data of the source '{found}', which this run "
                "would replace, with all that was made of them; give it a folder of its own (--directory), or remove "
                "'results' there first"
            )
