"""The figure of the training: it shows the numbers of the files, and stands without a free run."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from workflow.scripts.common.tables import read_rows
from workflow.scripts.evaluate.plots import training

EPOCHS = """epoch,loss,validation_score,free_run_score
1,4,,
2,2,1.5,0.7
3,1,1.25,0.6
"""
MEASURES = f"""measure,name,run,reference
spread over error,t2m,0.5,1
spread over error,z500,,1
1/e time (months),pattern 1,3,6
1/e time (months),pattern 2,2,1
"{training.SPECTRUM}",0,9,9
"{training.SPECTRUM}",1,4,8
"{training.SPECTRUM}",2,1,2
"""


@pytest.fixture
def files(tmp_path):
    for name, text in (("metrics", EPOCHS), ("validation", MEASURES), ("none", "measure,name,run,reference\n")):
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def lines(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


def test_panels_show_the_numbers_of_the_files(files):
    rows = (read_rows(files / f"{name}.csv") for name in ("metrics", "validation"))
    figure = training.training_figure(*rows, "ERA5")
    losses, spectrum, spread, memory = figure.axes
    assert lines(losses)["validation score, one step"] == [[2, 1.5], [3, 1.25]]
    assert lines(losses)["CRPS of the free run"] == [[2, 0.7], [3, 0.6]] and "0.600" in losses.get_title("left")
    assert lines(spectrum) == {"ERA5": [[1, 8], [2, 2]], "free run": [[1, 4], [2, 1]]}
    assert lines(memory) == {"ERA5": [[1, 6], [2, 1]], "free run": [[1, 3], [2, 2]]}
    shown = spread.lines[0].get_xydata()
    assert np.array_equal(shown, [[0.5, 0], [np.nan, 1]], equal_nan=True) and "median 0.50" in spread.get_title("left")
    plt.close(figure)


@pytest.mark.parametrize("name", ["validation", "none"])
def test_the_program_draws_with_and_without_a_free_run(files, name):
    paths = ["--metrics", files / "metrics.csv", "--validation", files / f"{name}.csv", "--out", files / "t.png"]
    assert training.main([*map(str, paths), "--reference-name", "ERA5"]) == 0
    assert (files / "t.png").stat().st_size > 5000 and (files / "t.pdf").read_bytes().startswith(b"%PDF")
