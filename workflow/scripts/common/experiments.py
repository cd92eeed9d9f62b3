"""AIMIP's experiments, and others like them: how their sea differs from the control's, and what names and files say.

An experiment is the control ``aimip`` with another sea. Its entry in the config says which: ``sst_offset`` (K, added
everywhere), ``sst_pattern`` (a file of maps, added as well) and ``ice`` (follow: changed with the water). The entry
goes into the vocabulary and each file's history, and is read back from there; of files that do not state an offset,
other people's, the name says it. Needs the standard library only, so CMOR's interpreter can import it.
"""

import re
from pathlib import Path

CONTROL = "aimip"
OFFICIAL = {CONTROL: 0, "aimip-p2k": 2, "aimip-p4k": 4}  # AIMIP Phase 1: offset, K
NAME = r"aimip(-[a-z0-9]+)*"
NAME_HELP = "aimip, or aimip with a dash, lower-case letters and digits, such as aimip-p3k"
PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # of the file's own name, which goes into attributes


def canonical(entry):
    """An ``entry`` of the config's experiments without what says no more than its absence."""
    pattern = {"sst_pattern": entry["sst_pattern"]} if entry.get("sst_pattern") else {}
    ice = {"ice": "follow"} if entry.get("ice") == "follow" else {}
    return {"sst_offset": entry.get("sst_offset", 0), **pattern, **ice}


def has_own_forcing(entry):
    """Whether the sea of an experiment differs from the control's by more than ``sst_offset``."""
    return "sst_pattern" in entry or "ice" in entry


def is_changed(entry):
    """Whether the sea of an experiment differs from the control's at all."""
    return entry["sst_offset"] != 0 or has_own_forcing(entry)


def check_experiments(entries):
    """Raise ValueError in one sentence if the control is not among ``entries`` ({name: canonical entry}), a name means
    another sea than its entry, or two experiments have one: their files would be the same, which the checks refuse."""
    if CONTROL not in entries:
        raise ValueError(
            f"config: 'experiments' has {', '.join(entries)} but not {CONTROL}, sst_offset 0, the control of the others"
        )
    for name, entry in entries.items():
        _check_name(name, entry)
        _check_sea(name, entry)
    known = {}
    for name, entry in entries.items():
        other = known.setdefault((float(entry["sst_offset"]), entry.get("sst_pattern"), entry.get("ice")), name)
        if other != name:
            same = f"sea, {brief(entry)}" if has_own_forcing(entry) else f"sst_offset, {entry['sst_offset']:g} K"
            raise ValueError(
                f"config: 'experiments' has {other} and {name} with the same {same}, which would give the same files; "
                f"leave one out (null), or give it another offset"
            )


def _check_name(name, entry):
    """A name that states an offset states the one of its entry, and no experiment bears a name that means another."""
    offset, stated = entry["sst_offset"], named_offset(name)
    who = "AIMIP means" if name in OFFICIAL else "the name says"
    if stated is not None and float(offset) != stated:
        raise ValueError(
            f"config: 'experiments.{name}.sst_offset' is {offset:g} K, but {who} {stated:g} K by {name}; give an "
            f"experiment of your own another name, such as aimip-{'m' if offset < 0 else 'p'}3k"
        )
    if stated is not None and has_own_forcing(entry):
        raise ValueError(
            f"config: 'experiments.{name}' is {brief(entry)}, but {who} {stated:g} K everywhere and sea ice as "
            f"prescribed by {name}; give an experiment of your own another name, such as {name}-own"
        )
    if re.fullmatch(r"aimip-\d+k", name):
        raise ValueError(
            f"config: 'experiments' has {name}, which others use for {name.replace('-', '-p')} and the checks read so; "
            f"give it another name, letters first"
        )


def _check_sea(name, entry):
    """The sea of an experiment is one that can be made and told."""
    pattern = entry.get("sst_pattern")
    if pattern and not re.fullmatch(PATTERN, Path(pattern).name):
        raise ValueError(
            f"config: 'experiments.{name}.sst_pattern' is '{pattern}', whose own name goes into the files' attributes; "
            f"call it by at most 64 letters, digits, dots, dashes and underscores, a letter or digit first"
        )
    if "ice" in entry and not pattern and entry["sst_offset"] == 0:
        raise ValueError(
            f"config: 'experiments.{name}.ice' is follow, but nothing is added to the water that it follows; give a "
            f"sst_offset or a sst_pattern"
        )


def describe(sea):
    """The sea of an experiment beside that of the control, in words; nothing where it is the same.

    ``sea``: an entry, or what ``stated`` has of it.
    """
    offset, pattern = sea["sst_offset"], sea.get("sst_pattern")
    raised = f"{'raised' if offset > 0 else 'lowered'} by {abs(offset):g} K everywhere" if offset else ""
    varied = f"changed by the pattern {Path(pattern).name}" if pattern else ""
    return " and ".join(filter(None, (raised, varied))) + (", sea ice following it" if "ice" in sea else "")


def brief(sea):
    """The same for titles: SST +2 K."""
    pattern = f" and {Path(sea['sst_pattern']).name}" if "sst_pattern" in sea else ""
    return f"SST {sea['sst_offset']:+g} K{pattern}{', ice follows' if 'ice' in sea else ''}"


def stated(settings):
    """What ``settings`` (of cmorize/tables.py) say of the sea: sst_offset (K), sst_pattern and its sha256, ice."""
    keys = "sst_offset", "sst_pattern", "sst_pattern_sha256", "ice"
    return {key: settings[key] for key in keys if key in settings}


def history_entry(sea):
    """The sea (of ``stated``) as the history of a file records it."""
    rest = [f"{key}={value}" for key, value in sea.items() if key != "sst_offset"]
    return "; ".join([f"sst_offset={float(sea['sst_offset']):g} K", *rest])


def recorded_offset(history):
    """The offset (K) that the history of a file records, or None."""
    found = re.search(r"\bsst_offset=([-+.e\d]+) K", history)
    return float(found[1]) if found else None


def recorded_change(history):
    """What the history of a file records of the sea beside the offset: sst_pattern (name of the file) and ice."""
    return dict(re.findall(r"\b(sst_pattern|ice)=([\w.-]+)", history))


def named_offset(name):
    """The offset (K) that a name such as aimip-p2k or aimip-m1k states, or None."""
    found = re.fullmatch(r"aimip-([pm])(\d+)k", name)
    return 0.0 if name == CONTROL else float(found[2]) * (1 if found[1] == "p" else -1) if found else None


def plausible_response(offset):
    """(low, high) global response of tas, K: 0.8..5 to a sea 2 K warmer, 1.8..9 to one 4 K warmer, linear between."""
    low, high = 0.5 * abs(offset) - 0.2, 2 * abs(offset) + 1
    return (low, high) if offset >= 0 else (-high, -low)
