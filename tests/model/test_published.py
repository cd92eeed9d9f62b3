"""The program published: a folder of v0.9 becomes a checkpoint, and nothing pickled in it is executed."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import torch

from model import checkpoint, published
from tests.helpers.project import DATA

GOLDEN = DATA / "md_v0p9_golden.npz"


@pytest.fixture
def published_folder(tmp_path):
    with np.load(GOLDEN) as golden:
        state = {
            name.removeprefix("state_dict/"): torch.from_numpy(golden[name])
            for name in golden.files
            if name.startswith("state_dict/")
        }
    torch.save(state, tmp_path / "weights.pt")
    (tmp_path / "config.pkl").write_bytes(b"\x80\x04cos\nsystem\nX\x08\x00\x00\x00touch /x\x85R.")
    return tmp_path


def test_a_published_folder_is_imported_and_encodes_and_decodes_the_same(published_folder, tmp_path, monkeypatch):
    with np.load(GOLDEN) as file:
        golden = {name: torch.from_numpy(file[name]) for name in file.files if file[name].dtype.kind in "fc"}
        golden |= {"month0": torch.from_numpy(file["month0"])}
    with netCDF4.Dataset(tmp_path / "training.nc", "w") as dataset:
        for axis, size in zip(("static", "lat", "lon"), golden["statics"].shape, strict=True):
            dataset.createDimension(axis, size)
        dataset.createVariable("statics", "f4", ("static", "lat", "lon"))[:] = golden["statics"].numpy()
    names = ["SPSFC", "VAR_2TSFC", "MTPRSFC", "t850.0", "q850.0", "z500.0"]
    table = published.read_statistics(published.STATISTICS)
    lines = ["published_name,transform,mean,std"]
    lines += [
        f"{n},{table[n]['transform']},{table[n]['mean']},{table[n]['std']}" for n in [*names[::-1], "SSTKSFC", "CISFC"]
    ]
    (tmp_path / "statistics.csv").write_text("\n".join(lines))
    monkeypatch.setattr(published, "STATICS", ("SDOR", "LSM"))
    published.import_checkpoint(
        published_folder, tmp_path / "c.zip", tmp_path / "training.nc", tmp_path / "statistics.csv"
    )
    model, metadata, _ = checkpoint.load(tmp_path / "c.zip")
    assert [channel.name for channel in metadata.channels] == ["sp", "t2m", "avg_tprate", "t850", "q850", "z500"]
    assert metadata.scale[3] == pytest.approx(15.45917)
    given = golden["forcing0"], golden["month0"]
    with torch.no_grad():
        mean, log_variance = model.encode(golden["x0"], *given)
        latent = mean + torch.exp(0.5 * log_variance) * golden["encoder_eps"]
        decoded = model.decode(golden["z0"], *given)
    for found, wanted in ((latent, golden["z0"]), (decoded, golden["reconstruction"])):
        assert ((found - wanted).square().mean() / wanted.square().mean()).sqrt() < 1e-5


def test_a_table_of_other_fields_is_refused(published_folder, tmp_path):
    with pytest.raises(ValueError, match="decode 6 fields, .* has 37; give the table of this checkpoint"):
        published.import_checkpoint(published_folder, tmp_path / "c.zip")


def test_a_state_dict_of_another_model_is_refused(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="holds no state_dict of Monthly Diffusion v0.9"):
        published.import_checkpoint(tmp_path, tmp_path / "c.zip")


def test_pickled_objects_are_not_executed(tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    torch.save({"weights": Harm()}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        published.import_checkpoint(tmp_path, tmp_path / "c.zip")
    assert not (tmp_path / "harmed").exists()


def test_the_whole_statistics_table_gives_37_channels():
    table = published.read_statistics(published.STATISTICS)
    names = [name for name in table if name not in ("SSTKSFC", "CISFC")]
    metadata = published.metadata_of(names, table, data_grid := published.Grid(121, 240))
    assert len(metadata.channels) == 37 and len(metadata.lat) == data_grid.nlat
    assert {channel.transform for channel in metadata.channels} == {"none", "sqrt"}
    assert len({channel.name for channel in metadata.channels}) == 37
