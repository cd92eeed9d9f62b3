"""A checkpoint of one's own, written by the model, is held against the config before anything is downloaded."""

import subprocess
import sys
import zipfile

import pytest

from model import checkpoint
from tests.helpers.checkpoints import write_checkpoint
from tests.helpers.project import ROOT, VARIABLES, load_config
from workflow.scripts.common.imported import readable_format
from workflow.scripts.common.settings import validate_config

SCHEMA = ROOT / "workflow/schemas/config.schema.yaml"


def validated(path, **changes):
    config = load_config()
    config["model"]["checkpoint"] = str(path)
    return validate_config(config | changes, SCHEMA, VARIABLES)


@pytest.mark.parametrize("resolution", [1.5, 3, 0.75])
def test_a_checkpoint_of_the_configs_grid_and_table_is_taken_and_of_another_grid_refused(resolution, tmp_path):
    path = tmp_path / "c.zip"
    write_checkpoint(path, resolution)
    if resolution == 1.5:
        assert validated(path)["model"]["checkpoint"] == str(path)
    else:
        size = f"{round(180 / resolution) + 1}x{round(360 / resolution)}"
        with pytest.raises(ValueError, match=f"'model.checkpoint' is .*c.zip', of a model on {size} cells, .* 121x240"):
            validated(path)
    validated(path, grid={"resolution": resolution})


def test_a_checkpoint_of_other_fields_or_transforms_is_refused(tmp_path):
    lines = VARIABLES.read_text().splitlines(keepends=True)
    without = tmp_path / "table.csv"
    without.write_text("".join(line for line in lines if ",avg_tprate," not in line))
    path = tmp_path / "c.zip"
    write_checkpoint(path, table=without)
    validated(path)  # of fewer fields than are there
    write_checkpoint(path)
    with pytest.raises(
        ValueError, match="of a model with the fields .*, which the table of variables .*table.csv leav"
    ):
        validated(path, variables=str(without))
    write_checkpoint(path, changed=[("t850", "sqrt")])
    with pytest.raises(ValueError, match="takes t850 after the transform sqrt, but .* has none"):
        validated(path)


def test_what_is_no_checkpoint_or_of_another_format_is_refused_and_what_is_not_there_is_snakemakes(
    tmp_path, monkeypatch
):
    path = tmp_path / "c.zip"
    validated(path)
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match="c.zip', which is no checkpoint of this model"):
        validated(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.pt", "another model's")
    with pytest.raises(ValueError, match="no checkpoint of this model .*checkpoint.json"):
        validated(path)
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    write_checkpoint(path)
    reads = checkpoint.FORMAT - 1
    with pytest.raises(ValueError, match=f"of checkpoint format {reads + 1}, but this version reads {reads}"):
        validated(path)


def test_the_format_is_the_models_and_asking_for_it_takes_no_torch():
    assert readable_format() == checkpoint.FORMAT
    code = "import sys, workflow.scripts.common.settings; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
