"""The benchmark of GPUs, on a CPU: it runs for real, in time, and a CPU is no other than itself."""

import json
import subprocess
import sys
import time
import zipfile

import pytest

from benchmarks import gpu
from benchmarks.gpu_parts import CAPTURE, TINY
from tests.helpers.project import ROOT


def test_its_parts_run_in_time_and_print_a_table(tmp_path):
    parts, begun = ["parity", "training", "rollout 5", "output 5"], time.monotonic()
    command = [sys.executable, "benchmarks/gpu.py", "--tiny", "--minutes", "12", "--json", str(tmp_path / "gpu.json")]
    done = subprocess.run([*command, "--parts", *parts], cwd=ROOT, capture_output=True, text=True, check=True)
    assert time.monotonic() - begun < 720, "it promises an end, not a speed"
    content = json.loads((tmp_path / "gpu.json").read_text())
    rows = {(row["part"], row["what"]): row.get("value") for row in content["rows"]}
    assert not [what for _, what in rows if "failed" in what or "stopped" in what or "no time" in what]
    assert {part for part, what in rows if what == "clock"} == set(parts)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("| part | what | value") and len(lines) == 2 + len(content["rows"])
    # The CPU beside itself.
    assert {value for (part, what), value in rows.items() if part == "parity" and "relative" in what} == {0.0}
    compared = [row["months"] for row in content["rows"] if "months" in row]
    assert [len(months) for months in compared] == [TINY.parity_months] * 2 and TINY.parity_months > CAPTURE + 5
    month = next(value for (part, what), value in rows.items() if part == "rollout 5" and "mean of" in what)
    assert rows["rollout 5", "8 months of 5 members, continued"] == pytest.approx(8 * month / 60)
    assert rows["training", "operations of a step"] > 100 and rows["output 5", "written"] > 0


def test_a_part_that_does_not_end_is_ended(monkeypatch):
    """What it said until then is kept, and how it ended is told."""
    monkeypatch.setattr(gpu, "GRACE", 1.0)
    program = 'import time; print(\'{"what": "a month", "value": 1.5, "unit": "s"}\', flush=True); time.sleep(60)'
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **choices: popen([sys.executable, "-c", program], **choices)
    )
    given = type("Given", (), {"sizes": []})
    first, last, clock = gpu.run_part("rollout 5", 2.0, given, {})
    assert first == {"part": "rollout 5", "what": "a month", "value": 1.5, "unit": "s"}
    assert last == {"part": "rollout 5", "what": "stopped after 2 s"} and 2 < clock["value"] < 30
    assert "| rollout 5 | a month | 1.5 | s |  |" in gpu.table([first])


def test_what_is_missing_is_told_or_comes_from_wheels(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "NEEDED", {"nowhere_at_all": "nowhere-at-all"})
    with pytest.raises(RuntimeError, match="nowhere_at_all cannot be imported; give a folder with their wheels"):
        gpu.install(None, str(tmp_path))
    with pytest.raises(RuntimeError, match="cannot be installed: ERROR: No matching distribution found for nowhere"):
        gpu.install(str(tmp_path), str(tmp_path / "there"))
    wheel(tmp_path)
    gpu.install(str(tmp_path), str(tmp_path / "there"))
    assert (tmp_path / "there" / "nowhere_at_all.py").read_text() == "NUMBER = 3\n"


def wheel(folder):
    """A wheel of one module."""
    info = "nowhere_at_all-1.0.dist-info"
    with zipfile.ZipFile(folder / "nowhere_at_all-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("nowhere_at_all.py", "NUMBER = 3\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: nowhere-at-all\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
