import pytest

from model import train
from tests.helpers import model_data


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Training, initial and forcing files, and a checkpoint trained on them."""
    folder = tmp_path_factory.mktemp("model")
    model_data.write_months(folder / "training.nc")
    model_data.write_months(folder / "initial.nc", first=(1978, 10), count=1, validation=0)
    model_data.write_normalized_forcing(folder / "aimip.nc")
    train.train(
        str(folder / "training.nc"), model_data.SMALL, 3, str(folder / "c.zip"), metrics=str(folder / "metrics.csv")
    )
    return folder
