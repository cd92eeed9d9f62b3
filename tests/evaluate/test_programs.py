"""The programs of the stage on their command lines: they do what their functions do, in folders with spaces too."""

import filecmp
import json

import pytest

from tests.helpers.evaluation_run import EXPERIMENTS, OUTPUTS, PERIODS, SETTINGS
from tests.helpers.project import INDEX, VARIABLES
from workflow.scripts.evaluate import evaluation, truth
from workflow.scripts.evaluate.plots import lines, maps, models
from workflow.scripts.evaluate.scorecard import closing
from workflow.scripts.evaluate.summarize import baseline, reader, reference, simulation, tree

PROGRAMS = simulation, baseline, reference, tree, truth, evaluation, maps, lines, models, closing
SUMMARY = ["--index", str(INDEX), "--periods", json.dumps(PERIODS), "--minimum-years", "2"]


@pytest.mark.parametrize("module", PROGRAMS, ids=lambda module: module.__name__.removeprefix("workflow.scripts."))
def test_help_tells_what_the_program_does(module, capsys):
    with pytest.raises(SystemExit) as end:
        module.main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert module.__doc__.strip() in text and "--log" in text


def test_summaries_are_those_of_the_functions(result, tmp_path):
    files = [str(path) for path in (result / "aimip_r2i1p1f1").iterdir()]
    out = tmp_path / "a summary" / "r2i1p1f1.nc"
    assert simulation.main(["--files", *files, *SUMMARY, "--out", str(out)]) == 0
    assert filecmp.cmp(out, result / "summary/aimip/r2i1p1f1.nc", shallow=False)
    files = [str(path) for path in (result / "era5").glob("19*.nc")]
    out = tmp_path / "a reference.nc"
    command = ["--files", *files, "--variables", str(VARIABLES), *SUMMARY, "--out", str(out)]
    assert reference.main(command) == 0
    assert filecmp.cmp(out, result / "reference.nc", shallow=False)


def test_evaluation_reads_as_many_members_as_it_is_told(result, tmp_path):
    folder = tmp_path / "an evaluation"
    folder.mkdir()
    settings = {name: value for name, value in SETTINGS.items() if name not in ("periods", "reference_name")}
    command = ["--reference", result / "reference.nc", "--static", result / "era5/static.nc"]
    command += ["--summaries", result / "summary", "--experiments", json.dumps(EXPERIMENTS)]
    command += ["--settings", json.dumps(settings), "--periods", json.dumps(PERIODS), "--source", "MD-made"]
    command += ["--reference-name", "ERA5", "--truth", "--models"]
    command += [word for name, file in OUTPUTS.items() for word in (f"--{name}", folder / file)]
    assert evaluation.main([*map(str, command), "--members", "3"]) == 0
    for file in OUTPUTS.values():
        assert filecmp.cmp(folder / file, result / file, shallow=False), file
    assert evaluation.main([*map(str, command), "--members", "2"]) == 0
    assert json.loads((folder / OUTPUTS["scorecard"]).read_text())["members"] == 2
    names = [path.relative_to(folder).as_posix() for path in reader.summary_paths(folder, ["aimip"], 2)]
    assert names == ["aimip/r1i1p1f1.nc", "aimip/r2i1p1f1.nc"]


def test_a_fault_is_one_sentence_and_the_log_has_the_rest(tmp_path, capsys):
    command = ["--log", str(tmp_path / "closing.log"), str(tmp_path / "scorecard.txt"), "report.html"]
    assert closing.main(command) == 1
    assert "scorecard.txt is not there: run the target 'evaluation' first" in capsys.readouterr().err
    assert "Traceback" in (tmp_path / "closing.log").read_text()
