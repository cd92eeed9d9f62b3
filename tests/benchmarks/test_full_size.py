"""The table of what a run cost, of records that are known."""

import os

import pytest

from benchmarks import full_size
from workflow.growth import read_rules

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def record(folder, name, seconds, megabytes):
    path = folder / "benchmarks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}99\t0:01:39\t{megabytes}\t9\t9\t9\t9\t9\t9\t{seconds}\n")


def test_jobs_are_summed_by_rule_and_set_beside_the_table_that_costs_are_planned_by(tmp_path):
    usual, memory = (read_rules()["cmorize"][key] for key in ("seconds", "megabytes"))
    for member, factor in enumerate((1, 2, 4)):
        record(tmp_path, f"cmorize/aimip/r{member}.tsv", factor * usual, 500 + member)
    record(tmp_path, "of_my_own.tsv", 2000, 12000)
    record(tmp_path, "cmor_tables/aimip.tsv", "NA", "-")
    stage = tmp_path / "results/rollout"
    stage.mkdir(parents=True)
    (stage / "r1.nc").write_bytes(bytes(200_000_000))
    os.link(stage / "r1.nc", stage / "again.nc")
    lines = full_size.table(tmp_path)
    assert lines[2] == "| of_my_own | 1 | 2000, 2000.0 | 12000 |  |"
    assert lines[3] == f"| cmorize | 3 | {7 * usual:.0f}, {2 * usual:.1f} | 502 | 2.00, {502 / memory:.2f} |"
    assert f"| all | 5 | {2000 + 7 * usual:.0f} | | |" in lines
    assert lines[-1] == "| rollout | 0.2 |"


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no benchmarks"):
        full_size.table(tmp_path)
