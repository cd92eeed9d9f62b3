"""One folder holds the data of one source."""

import json

import pytest

from workflow.scripts.common.source import refuse_other_source


def test_data_of_another_source_are_not_replaced(tmp_path):
    folder = tmp_path / "results/download"
    refuse_other_source("synthetic", folder)  # nothing is there yet
    (folder / "single-levels").mkdir(parents=True)
    (folder / "forcing.json").write_text(json.dumps({"source": "zenodo"}))
    (folder / "single-levels/1979.json").write_text(json.dumps({"source": "cds", "request": {}}))
    refuse_other_source("cds", folder)
    with pytest.raises(ValueError, match="'source' is 'synthetic', but '.*download' holds data of the source 'cds'"):
        refuse_other_source("synthetic", folder)
