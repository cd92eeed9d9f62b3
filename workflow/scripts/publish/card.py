"""The dataset card: README.md of a submission, generated from the config, the tables and the checks' outcome."""

import re

from workflow.scripts.common.experiments import describe
from workflow.scripts.common.mip_tables import levels, read_axes, read_entries
from workflow.scripts.common.months import month_range
from workflow.scripts.common.project import CMOR_FACTS
from workflow.scripts.common.reference import reference_name
from workflow.scripts.publish.training import training_text

SYNTHETIC = (
    "> **Not for science.** {what} the workflow's synthetic planet, not from observations: this submission shows that "
    "the workflow runs.\n\n"
)
LIMITS = (
    "Monthly means only, stepped from month to month: weather within a month is not simulated, there is no daily "
    "output, and AIMIP's temporal-variance metric (E4) does not apply.",
    "Greenhouse gases, aerosols, ozone and volcanoes are no inputs: what they do beyond sea surface temperature and "
    "sea ice, such as the cooling of the stratosphere, is in these files only as far as it goes with those.",
    "Mass, energy and water are not conserved by construction, and fields are consistent with each other (hydrostatic "
    "balance, wind and pressure) only as far as the model learned it.",
    "Over ice-free open sea `ts` is the prescribed sea surface temperature, not a prediction, where sea ice is "
    "prescribed too.",
    "Fields on pressure levels below the surface are filled, as in the data that the model learned from.",
    "`huss` follows from the monthly means of dewpoint and surface pressure; `tdas` is limited to `tas`.",
    "Humidity and precipitation below zero, which a statistical model can draw, are set to zero.",
    "Warmed seas lie outside what the model was trained on: read experiments other than `aimip` as tests of "
    "extrapolation.",
)
CATALOGUE = """import os

import intake

os.environ["ITK_ESM_THREADING"] = "False"
catalog = intake.open_esm_datastore("catalog.json")
tas = catalog.search(experiment_id="aimip", variable_id="tas", grid_label="gn").to_dask().tas
"""
ATTRIBUTION = (
    "Contains modified Copernicus Climate Change Service information (ERA5, and AIMIP's forcing made from it); neither "
    "the European Commission nor ECMWF is responsible for any use that may be made of it.\n\n"
)


def card(config, facts, check, weights):
    """The card's text (Markdown).

    ``config``: the whole resolved config. ``facts``: folder of the MIP tables. ``check``: content of submission.json of
    the checks. ``weights``: dict of size (bytes) and sha256 of the checkpoint.
    """
    submission, periods = config["submission"], config["periods"]
    files = [file for simulation in check["simulations"] for file in simulation["files"]]
    name, institution = submission["source_id"], submission["institution_id"]
    months = len(month_range(*periods["simulation"]))
    learned = "Forcing and initial state are from" if config["model"]["checkpoint"] else "The model learned from"
    return (
        f"# {name}: submission to AIMIP Phase 1\n\n"
        + (SYNTHETIC.format(what=learned) if config["source"] == "synthetic" else "")
        + f"{submission['source']}. Made by {submission['institution']} ({institution}).\n\n"
        + _table(
            ("Item", "Value"),
            [
                ("Experiments", ", ".join(_experiments(config))),
                ("Members", f"{config['members']}, r1i1p1f1 to r{config['members']}i1p1f1"),
                ("Period", f"{' to '.join(periods['simulation'])}, {months} monthly means"),
                ("Grids", ", ".join(_grids(config))),
                ("Version", submission["version"]),
                ("Files", f"{len(files)}, {sum(file['size'] for file in files) / 1e9:.2f} GB"),
                ("License", "CC BY 4.0"),
            ],
        )
        + "\n## Variables\n\n"
        + _table(("Name", "Meaning", "Units", "Cell methods"), _variables(facts))
        + _levels(facts)
        + "\n## Experiments\n\n"
        + _protocol(config)
        + _table(("Experiment", "Sea surface temperature"), _offsets(config))
        + "\n## Model and training\n\n"
        + training_text(config, weights, _reference(config))
        + "\n## Known limits\n\n"
        + "".join(f"- {limit}\n" for limit in _limits(facts))
        + "\n## Checks\n\n"
        + _checks(check)
        + "\n## Layout and use\n\n"
        + f"`{{experiment}}/{{member}}/Amon/{{variable}}/{{grid}}/{submission['version']}/` below this folder; "
        + "`manifest.csv` has size and SHA-256 of every file, `provenance.json` says what they were made from, "
        + "`config.yaml` with the workflow makes them again, `checkpoint.zip` holds the weights.\n\n"
        + f"```python\nfrom pathlib import Path\n\nimport xarray as xr\n\n{_example(config)}\n```\n\n"
        + "In this folder, which its paths are relative to, intake-esm joins members and variables; without threads, "
        + "for which the netCDF library is not made:\n\n"
        + f"```python\n{CATALOGUE}```\n"
        + "\n## License and citation\n\n"
        + "[Creative Commons Attribution 4.0 International](https://creativecommons.org/licenses/by/4.0/), the weights "
        + "too.\n\n"
        + (ATTRIBUTION if "ERA5" in _reference(config) else "")
        + f"Please cite the model: {submission['references']}\n\n"
        + f"and the data: {institution} ({submission['version'][1:5]}): {name} simulations for AIMIP Phase 1, version "
        + f"{submission['version']}, {submission['institution']}.\n\n"
        + f"Further information: {submission['further_info_url']}. Contact: {submission['contact']}.\n"
    )


def _reference(config):
    """The data, as a sentence names them."""
    return f"{'the ' if config['source'] == 'synthetic' else ''}{reference_name(config)}"


def _protocol(config):
    first = config["periods"]["simulation"][0]
    starts = {"mean": "its mean", "posterior": "a draw of its own from its posterior"}
    start = "its latent" if config["model"]["checkpoint"] else starts[config["model"]["initial_state"]]
    forcing = {
        "cds": f"AIMIP's, `{config['download']['forcing_file']}` of {config['download']['forcing_record']}",
        "local": f"{'in the shape of ' if config['local']['name'] else ''}AIMIP's, `{config['local']['forcing']}`",
        "synthetic": "made by the workflow in the shape of AIMIP's",
    }[config["source"]]
    names = [name for name in _experiments(config) if "ice" in config["experiments"][name]]
    followed = f" but {', '.join(names)}, where it follows the water (Hurrell et al. 2008)" if names else ""
    means = config["source"] == "local" and config["local"]["forcing_values"] == "mean"
    values = "as monthly means" if means else "at the start of each month, averaged to monthly means"
    return (
        f"Every member starts from the first month ({first}) of {_reference(config)}: it is encoded, each member "
        f"takes {start}, and every month after is drawn with noise of its own, other noise in every "
        f"experiment. The forcing is {forcing}: sea surface "
        f"temperature and sea ice {values}. Sea ice, where it is prescribed, is the same in all experiments"
        f"{followed}.\n\n"
    )


def _example(config):
    submission, experiment = config["submission"], _experiments(config)[0]
    folder = f"r*i1p1f1/Amon/tas/{submission['grids'][0]}/{submission['version']}"
    return (
        f'files = sorted(Path("{experiment}").glob("{folder}/*.nc"))\n'
        'tas = xr.concat([xr.open_dataset(file).tas for file in files], "realization")'
    )


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def _experiments(config):
    return [name for name, entry in config["experiments"].items() if entry is not None]


def _offsets(config):
    for name in _experiments(config):
        changed = describe(config["experiments"][name])
        yield f"`{name}`", ", ".join(filter(None, ("as prescribed", changed)))


def _grids(config):
    native = f"gn (native, {config['grid']['resolution']:g} degrees with poles)"
    regridded = f"gr (conservative, {config['submission']['regridded_resolution']:g} degrees)"
    return [{"gn": native, "gr": regridded}[label] for label in config["submission"]["grids"]]


def _variables(facts):
    for name, entry in read_entries(facts).items():
        yield f"`{name}`", entry["long_name"], entry["units"], entry["cell_methods"]


def _levels(facts):
    """A sentence on the pressure levels: those of most variables, and what others have."""
    axes, groups = read_axes(facts), {}
    for name, entry in read_entries(facts).items():
        if on := tuple(levels(entry, axes)):
            groups.setdefault(on, []).append(f"`{name}`")
    parts = []
    for on, names in sorted(groups.items(), key=lambda group: -len(group[1])):
        text = ", ".join(f"{pressure / 100:g}" for pressure in on)
        whose = f"of {', '.join(names)}: " if parts or len(names) == 1 else ""
        parts.append(f"{whose}{text}" + (", a dimension of length one" if len(on) == 1 else ""))
    return f"\nPressure levels (hPa): {'; '.join(parts)}.\n" if parts else ""


def _limits(facts):
    """The limits without those on a variable, the first that they name, which is not there."""
    absent = set(read_entries(CMOR_FACTS)) - set(read_entries(facts))
    for limit in LIMITS:
        if not absent & set(re.findall(r"`(\w+)`", limit)[:1]):
            yield limit


def _checks(check):
    failed = sum(rule["failed"] for rule in check["rules"])
    warned = [rule for rule in check["rules"] if rule["warned"]]
    text = (
        f"{sum(rule['checked'] > 0 for rule in check['rules'])} rules were put to these files; {failed} findings, "
        f"{len(warned)} rules with warnings.\n"
    )
    finite = all(
        any(rule["rule"] == name and rule["checked"] and not rule["failed"] for rule in check["rules"])
        for name in ("no-nan", "no-infinity", "value-range")
    )
    text += "No simulation blew up: all values are finite and within what is possible on Earth.\n" if finite else ""
    lines = [f"- warning: {rule['first']}\n" for rule in warned]
    lines += [f"- left out: {rule['rule']} ({rule['left_out']})\n" for rule in check["rules"] if rule["left_out"]]
    return text + "".join(lines)
