import csv
import filecmp
import hashlib
import json
import os
import shutil
import subprocess

import pytest
import yaml

from tests.helpers import submission_files
from tests.helpers.project import load_config
from workflow.scripts.check.outcome import write_outcome
from workflow.scripts.check.rules import Report
from workflow.scripts.publish.card import card
from workflow.scripts.publish.manifest import main, verify
from workflow.scripts.publish.product import commit, publish, without_folders
from workflow.scripts.publish.product import main as publish_main
from workflow.scripts.submission.drs import submission_path

MODEL = "UMD-PARETO/MD-1p5"


@pytest.fixture
def product(tmp_path):
    """A published submission of three small files."""
    folder = tmp_path / "submission" / MODEL
    files = []
    for member in (1, 2, 3):
        path = submission_path(*MODEL.split("/"), "aimip", member, "tas", "gn", "v20261122", "197810-197909")
        target = tmp_path / "submission" / path
        target.parent.mkdir(parents=True)
        target.write_bytes(b"values of member %d" % member)
        digest = hashlib.sha256(target.read_bytes()).hexdigest()
        files.append({"path": path, "size": target.stat().st_size, "sha256": digest})
    report = Report()
    report.count("cf-conventions", 3)
    report.add("cf-conventions", "tas_r2.nc", "a warning", gate=False)
    outcome = [tmp_path / f"check.{ending}" for ending in ("json", "csv", "html")]
    write_outcome([{"files": files}], report, *outcome)
    (tmp_path / "checkpoint.zip").write_bytes(b"weights")
    record = tmp_path / "results/download/single-levels/1979.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"request": "here", "sha256": "a" * 64}))
    config = load_config("test")
    publish(
        folder, outcome[0], tmp_path / "checkpoint.zip", [record], submission_files.FACTS, config, submission_files.ROOT
    )
    return folder


def test_the_manifest_lists_every_file_with_size_and_sha256(product):
    with open(product / "manifest.csv", newline="") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    there = {str(path.relative_to(product)) for path in product.rglob("*") if path.is_file()}
    assert set(rows) == there - {"manifest.csv"}
    assert len([path for path in rows if path.endswith(".nc")]) == 3
    for path, row in rows.items():
        content = (product / path).read_bytes()
        assert row["size"] == str(len(content))
        assert row["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_published_submission_verifies(product, capsys):
    assert verify(product) == (9, [])
    assert main([str(product)]) == 0
    assert "9 files in the manifest, 0 findings" in capsys.readouterr().out


def command_line(tmp_path, out):
    """The words by which the product of that fixture is published to ``out``."""
    record = tmp_path / "results/download/single-levels/1979.json"
    words = ["--check", tmp_path / "check.json", "--checkpoint", tmp_path / "checkpoint.zip", "--records", record]
    words += [
        "--facts",
        submission_files.FACTS,
        "--config",
        json.dumps(load_config("test")),
        "--repository",
        submission_files.ROOT,
        "--out",
        out,
    ]
    return list(map(str, words))


def test_the_command_line_publishes_what_the_function_publishes(product, tmp_path):
    other = tmp_path / "other" / MODEL
    shutil.copytree(product / "aimip", other / "aimip")
    assert publish_main(command_line(tmp_path, other)) == 0
    for name in ("checkpoint.zip", "config.yaml", "README.md", "catalog.json", "catalog.csv"):
        assert filecmp.cmp(other / name, product / name, shallow=False)
    assert verify(other) == (9, [])


@pytest.mark.parametrize("left", ["aimip/r4i1p1f1/Amon/tas/gn/v20261122/tas.nc", "notes.txt"])
def test_files_that_no_check_has_seen_are_not_published(product, tmp_path, left, capsys):
    """Members and experiments that a config of before had asked for stay in the folder."""
    manifest = product / "manifest.csv"
    manifest.unlink()
    (product / left).parent.mkdir(parents=True, exist_ok=True)
    (product / left).write_bytes(b"of an old model")
    words = command_line(tmp_path, product)
    assert publish_main(words) == 1
    assert f"holds 1 file that the config does not ask for, such as {product / left}" in capsys.readouterr().err
    assert not manifest.exists()
    (product / left).unlink()
    assert publish_main(words) == 0 and manifest.exists()


def test_no_folder_of_this_machine_is_published(tmp_path):
    config = load_config("test") | {"source": "local"}
    config["local"] |= {"folder": "/archive/ours/era5"}
    config["model"] |= {"checkpoint": "/home/me/published.zip"}
    config["evaluation"] |= {"models": {"ACE": "/scratch/me/ACE"}}
    record = {"source": "local", "file": "/archive/ours/era5/single-levels/1979.nc", "requests": [{"year": ["1979"]}]}
    found = without_folders({"config": config, "record": record})
    assert found["record"] == record | {"file": "1979.nc"}
    assert found["config"]["local"] == config["local"] | {"folder": "era5"}
    assert found["config"]["model"]["checkpoint"] == "published.zip"
    assert found["config"]["evaluation"]["models"] == {"ACE": "ACE"}
    assert found["config"]["download"] == config["download"] and found["config"]["submission"] == config["submission"]


@pytest.mark.parametrize("modes", [0, 4])
def test_the_card_says_what_a_uniform_warming_is(product, tmp_path, modes):
    """With a response to the sea it is one map; a model without one has learned nothing of the kind."""
    config = load_config("test")
    config["model"] |= {"forced_modes": modes}
    check = json.loads((tmp_path / "check.json").read_text())
    text = card(config, submission_files.FACTS, check, {"size": 7, "sha256": "0" * 64})
    assert ("as one map that is the same in every month" in text) == (modes > 0)
    assert "best fair CRPS in a free run of 2 members over the validation months" in text


def flip(path):
    path.write_bytes(path.read_bytes().replace(b"member", b"Member"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip, "has the sha256"),
        (lambda path: path.write_bytes(b"short"), "has 5 bytes, the manifest says 18"),
        (lambda path: path.unlink(), "is absent"),
        (lambda path: shutil.copy(path, path.with_name("other.nc")), "other.nc is not in the manifest"),
    ],
)
def test_verification_names_what_changed(product, capsys, change, words):
    change(next(product.rglob("*_r2i1p1f1_*.nc")))
    faults = verify(product)[1]
    assert len(faults) == 1
    assert words in faults[0]
    assert main([str(product)]) == 1
    assert words in capsys.readouterr().out


def test_verification_explains_a_wrong_folder(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "has no manifest.csv" in capsys.readouterr().err


def test_a_file_changed_since_it_was_checked_stops_the_manifest(product, tmp_path):
    next(product.rglob("*_r2i1p1f1_*.nc")).write_bytes(b"other values, of another length")
    record = tmp_path / "results/download/single-levels/1979.json"
    with pytest.raises(RuntimeError, match=r"_r2i1p1f1_gn_197810-197909.nc has 31 bytes, but 18 when it was checked"):
        publish(
            product,
            tmp_path / "check.json",
            tmp_path / "checkpoint.zip",
            [record],
            submission_files.FACTS,
            load_config("test"),
            ".",
        )


def test_provenance_holds_config_inputs_and_software(product):
    content = json.loads((product / "provenance.json").read_text())
    assert content["config"] == load_config("test")
    assert content["inputs"] == {"single-levels/1979": {"request": "here", "sha256": "a" * 64}}
    assert content["checkpoint"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert content["packages"]["numpy"]
    assert yaml.safe_load((product / "config.yaml").read_text()) == content["config"]


def test_the_commit_is_that_of_the_repository(tmp_path):
    assert commit(tmp_path) == {"commit": None, "changed": None}
    for words in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    found = commit(tmp_path)
    assert len(found["commit"]) == 40
    assert found["changed"] is False


def test_the_card_says_what_the_config_says(product):
    text = (product / "README.md").read_text()
    config = load_config("test")
    assert text.startswith(f"# {config['submission']['source_id']}: submission to AIMIP Phase 1")
    assert "Not for science" in text
    for experiment, entry in config["experiments"].items():
        assert (f"| `{experiment}` |" in text) == (entry is not None)
    assert "- warning: tas_r2.nc: cf-conventions: a warning" in text
    assert hashlib.sha256(b"weights").hexdigest() in text
    assert config["submission"]["references"] in text
    assert "| `huss` | Near-Surface Specific Humidity | 1 | area: time: mean |" in text


def test_the_card_of_the_full_submission_names_era5_and_its_periods():
    config = load_config()
    text = card(config, submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": "b" * 64})
    assert "Not for science" not in text
    assert "Trained on ERA5: weights and statistics from 1985-01 to 2014-12" in text
    assert "1978-10 to 2024-12, 555 monthly means" in text
    assert "32 latent channels" in text
    assert "encoder 64, decoder 256, denoiser 128" in text
    assert f"by the second-order sampler in {config['model']['evaluations']} evaluations of the denoiser" in text
    assert "Pressure levels (hPa): 1000, 850, 700, 500, 250, 100, 50; of `zg`: 500" in text


def test_the_card_tells_the_protocol_the_training_and_the_source():
    config = load_config()
    text = card(config, submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": "b" * 64})
    assert "starts from the first month (1978-10) of ERA5" in text
    assert f"`{config['download']['forcing_file']}` of {config['download']['forcing_record']}" in text
    assert "for 103 epochs in batches of 4 pairs of months by AdamW, learning rate 0.001" in text
    assert "reconstruction 1, diffusion 0.5, predicted 0.5, kl 0.03, latent 1" in text
    assert "Contains modified Copernicus Climate Change Service information" in text
    assert "UMD-PARETO (2026): MD-1p5 simulations for AIMIP Phase 1, version v20261122" in text
    assert "blew up" not in text, "nothing was checked"
    local = card(
        config | {"source": "local"},
        submission_files.FACTS,
        {"simulations": [], "rules": []},
        {"size": 1, "sha256": ""},
    )
    assert "zenodo" not in local
    synthetic = card(
        load_config("demo"), submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": ""}
    )
    assert "Copernicus" not in synthetic and "ERA5" not in synthetic


def test_the_card_calls_the_data_by_their_name():
    config = load_config() | {"source": "local"}
    config["local"] |= {"name": "A model of 1980", "forcing": "sea.nc"}
    text = card(config, submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": ""})
    assert "Trained on A model of 1980:" in text and "first month (1978-10) of A model of 1980" in text
    assert "The forcing is in the shape of AIMIP's, `sea.nc`" in text
    assert "ERA5" not in text and "Copernicus" not in text
    config["local"]["name"] = None
    text = card(config, submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": ""})
    assert "Trained on ERA5 (local files):" in text and "Copernicus" in text


@pytest.mark.parametrize(("failed", "claimed"), [(0, True), (1, False)])
def test_the_card_says_that_nothing_blew_up_only_where_the_checks_say_so(failed, claimed):
    rows = [
        {"rule": name, "checked": 14, "failed": failed, "warned": 0, "left_out": "", "first": ""}
        for name in ("no-nan", "no-infinity", "value-range")
    ]
    rows.append(rows[0] | {"rule": "prepare", "checked": 0, "failed": 0, "left_out": "PrePARE: not installed"})
    text = card(
        load_config("test"), submission_files.FACTS, {"simulations": [], "rules": rows}, {"size": 1, "sha256": ""}
    )
    assert ("No simulation blew up" in text) == claimed
    assert "- left out: prepare (PrePARE: not installed)" in text
    assert "3 rules were put to these files" in text


def test_the_cards_example_opens_all_members(monkeypatch):
    config = load_config("test") | {"submission": submission_files.SUBMISSION}
    text = card(config, submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": ""})
    monkeypatch.chdir(submission_files.tree() / "submission" / MODEL)
    opened = {}
    exec(text.partition("```python\n")[2].partition("```")[0], opened)
    assert dict(opened["tas"].sizes) == {"realization": 2, "time": 12, "lat": 13, "lon": 24}


@pytest.mark.parametrize("name", [None, "test"])
def test_the_card_of_an_imported_checkpoint_claims_no_training(name):
    config = load_config(name) if name else load_config()
    config["model"]["checkpoint"] = "weights/published.zip"
    text = card(config, submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": "b" * 64})
    assert "The checkpoint was imported (`weights/published.zip`), not trained in this run" in text
    assert "b" * 64 in text
    claims = ("Trained on", "weights and statistics from", "was read", "latent channels", "The model learned", "AdamW")
    for claim in claims:
        assert claim not in text


def test_the_card_describes_the_ancestral_sampler_by_its_steps():
    config = load_config()
    config["model"] |= {"sampler": "ancestral", "noise_modes": 0, "forced_modes": 0, "initial_state": "mean"}
    assert "added to every month as noise" in card(
        config, submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": "b" * 64}
    )
    config["model"]["residual_noise"] = False
    text = card(config, submission_files.FACTS, {"simulations": [], "rules": []}, {"size": 1, "sha256": "b" * 64})
    assert "drawn from white noise by the ancestral sampler in 15 steps" in text
    assert "response to" not in text and "added to every month" not in text
    assert "Members start from the mean of the posterior" in text


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_the_commit_is_that_of_a_repository_of_another_user_too(tmp_path):
    for words in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x", "--allow-empty"]):
        subprocess.run(["git", "-C", tmp_path, *words], check=True)
    found = commit(tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 12345, 12345)
    refused = subprocess.run(["git", "-C", tmp_path, "rev-parse", "HEAD"], capture_output=True, text=True)
    assert "dubious ownership" in refused.stderr
    assert commit(tmp_path) == found and found["commit"]
