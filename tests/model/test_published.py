"""The program published: a folder of v0.9 becomes a checkpoint, and nothing pickled in it is executed."""

import pickle
from pathlib import Path

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
        config = {
            "forcing_dim": 3,
            "data_dimensions": (6, 13, 24),
            "activation": torch.nn.GELU,
            "device": torch.device("cpu"),
            "statics": torch.from_numpy(golden["statics"]),
            "variable_names": list(golden["names/all_encoder_inputs"]),
        }
    torch.save(state, tmp_path / "weights.pt")
    (tmp_path / "config.pkl").write_bytes(pickle.dumps(config))
    return tmp_path


@pytest.fixture
def two_statics(monkeypatch):
    monkeypatch.setattr(published, "STATICS", ("LSM", "SDOR"))


def write_statistics(path):
    names = ["SPSFC", "VAR_2TSFC", "MTPRSFC", "t850.0", "q850.0", "z500.0"]
    table = published.read_statistics(published.STATISTICS)
    lines = ["published_name,transform,mean,std"]
    lines += [
        f"{n},{table[n]['transform']},{table[n]['mean']},{table[n]['std']}" for n in [*names[::-1], "SSTKSFC", "CISFC"]
    ]
    path.write_text("\n".join(lines))


def test_a_published_folder_is_imported_and_encodes_and_decodes_the_same(published_folder, tmp_path, two_statics):
    with np.load(GOLDEN) as file:
        golden = {name: torch.from_numpy(file[name]) for name in file.files if file[name].dtype.kind in "fc"}
        golden |= {"month0": torch.from_numpy(file["month0"])}
    write_statistics(tmp_path / "statistics.csv")
    published.import_checkpoint(published_folder, tmp_path / "c.zip", statistics_path=tmp_path / "statistics.csv")
    model, metadata, _ = checkpoint.load(tmp_path / "c.zip")
    assert [channel.name for channel in metadata.channels] == ["sp", "t2m", "avg_tprate", "t850", "q850", "z500"]
    assert metadata.scale[3] == pytest.approx(15.45917)
    assert torch.equal(model.statics, golden["statics"])
    assert metadata.statics == ["sdor", "lsm"]
    given = golden["forcing0"], golden["month0"]
    with torch.no_grad():
        mean, log_variance = model.encode(golden["x0"], *given)
        latent = mean + torch.exp(0.5 * log_variance) * golden["encoder_eps"]
        decoded = model.decode(golden["z0"], *given)
    for found, wanted in ((latent, golden["z0"]), (decoded, golden["reconstruction"])):
        assert ((found - wanted).square().mean() / wanted.square().mean()).sqrt() < 1e-5


def test_a_config_elsewhere_is_taken_and_one_of_other_maps_is_refused(published_folder, tmp_path, two_statics):
    write_statistics(tmp_path / "statistics.csv")
    elsewhere = (published_folder / "config.pkl").rename(tmp_path / "elsewhere.pkl")
    with pytest.raises(ValueError, match="there is no .*config.pkl, which holds the constant maps; --config names it"):
        published.import_checkpoint(published_folder, tmp_path / "c.zip", None, tmp_path / "statistics.csv")
    published.import_checkpoint(published_folder, tmp_path / "c.zip", elsewhere, tmp_path / "statistics.csv")
    for statics in (np.zeros((3, 13, 24), "f4"), np.full((2, 13, 24), np.nan), np.zeros((2, 3, 4), "i4"), ["maps"]):
        elsewhere.write_bytes(pickle.dumps({"statics": statics}))
        with pytest.raises(ValueError, match="elsewhere.pkl is no config of v0.9: its 'statics' are not 2 maps of fin"):
            published.import_checkpoint(published_folder, tmp_path / "no.zip", elsewhere, tmp_path / "statistics.csv")
    assert not (tmp_path / "no.zip").exists()


def test_maps_in_another_order_are_named_by_the_channel_map(two_statics):
    with np.load(GOLDEN) as golden:
        channel_map, names = golden["state_dict/" + published.CHANNEL_MAP], list(golden["names/data"])
    assert published.static_order(channel_map, names) == ["SDOR", "LSM"]
    assert published.static_order(channel_map[[*range(12), 13, 12]], names) == ["LSM", "SDOR"]
    with pytest.raises(ValueError, match="last inputs are SDOR, MTPR where LSM, SDOR belong"):
        published.static_order(channel_map[[*range(13), 2]], names)


def test_a_table_of_other_fields_is_refused(published_folder, tmp_path, two_statics):
    with pytest.raises(ValueError, match="decode 6 fields, .* has 37; give the table of this checkpoint"):
        published.import_checkpoint(published_folder, tmp_path / "c.zip")


def test_a_state_dict_of_another_model_is_refused(tmp_path):
    torch.save({"weight": torch.ones(2)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="holds no state_dict of Monthly Diffusion v0.9"):
        published.import_checkpoint(tmp_path, tmp_path / "c.zip")


def test_pickled_objects_are_not_executed(published_folder, tmp_path):
    class Harm:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "harmed",))

    (tmp_path / "config.pkl").write_bytes(pickle.dumps({"statics": Harm()}))
    with pytest.raises(ValueError, match="config.pkl holds the name pathlib.Path.touch, which is no data"):
        published.import_checkpoint(published_folder, tmp_path / "c.zip")
    torch.save({"weights": Harm()}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        published.import_checkpoint(published_folder, tmp_path / "c.zip")
    assert not (tmp_path / "harmed").exists()


def test_the_whole_statistics_table_gives_37_channels():
    table = published.read_statistics(published.STATISTICS)
    names = [name for name in table if name not in ("SSTKSFC", "CISFC")]
    metadata = published.metadata_of(names, table, ["SDOR"], data_grid := published.Grid(121, 240))
    assert len(metadata.channels) == 37 and len(metadata.lat) == data_grid.nlat
    assert {channel.transform for channel in metadata.channels} == {"none", "sqrt"}
    assert len({channel.name for channel in metadata.channels}) == 37
