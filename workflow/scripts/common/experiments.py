"""AIMIP's experiments, and others like them: how much warmer the sea surface is, and what names and files say of it.

An experiment is the control ``aimip`` with a uniform offset of the sea-surface temperature. The offset comes from the
config, goes into the vocabulary and each file's history, and is read back from there; of files that do not state one,
other people's, the name says it. Needs the standard library only, so CMOR's interpreter can import it.
"""

import re

CONTROL = "aimip"
OFFICIAL = {CONTROL: 0, "aimip-p2k": 2, "aimip-p4k": 4}  # AIMIP Phase 1: offset, K
NAME = r"aimip(-[a-z0-9]+)*"
NAME_HELP = "aimip, or aimip with a dash, lower-case letters and digits, such as aimip-p3k"


def check_experiments(offsets):
    """Raise ValueError if the control is not among ``offsets`` ({name: K}), an official name has another offset, or two
    experiments have one: their files would be the same, which the checks refuse."""
    if CONTROL not in offsets:
        raise ValueError(
            f"config: 'experiments' has {', '.join(offsets)} but not {CONTROL}, sst_offset 0, the control of the others"
        )
    for name, offset in offsets.items():
        if float(offset) != OFFICIAL.get(name, offset):
            raise ValueError(
                f"config: 'experiments.{name}.sst_offset' is {offset:g} K, but AIMIP means {OFFICIAL[name]:g} K by "
                f"{name}; give an experiment of your own another name, such as aimip-{'m' if offset < 0 else 'p'}3k"
            )
    known = {}
    for name, offset in offsets.items():
        other = known.setdefault(history_entry(offset), name)
        if other != name:
            raise ValueError(
                f"config: 'experiments' has {other} and {name} with the same sst_offset, {offset:g} K, which would "
                f"give the same files; leave one out (null), or give it another offset"
            )


def describe(offset):
    """The sea surface of an experiment with ``offset`` (K) beside that of the control, in words; nothing for 0."""
    return f"{'raised' if offset > 0 else 'lowered'} by {abs(offset):g} K everywhere" if offset else ""


def history_entry(offset):
    """``offset`` (K) as the history of a file records it."""
    return f"sst_offset={float(offset):g} K"


def recorded_offset(history):
    """The offset (K) that the history of a file records, or None."""
    found = re.search(r"\bsst_offset=([-+.e\d]+) K", history)
    return float(found[1]) if found else None


def named_offset(name):
    """The offset (K) that a name such as aimip-p2k or aimip-m1k states, or None."""
    found = re.fullmatch(r"aimip-([pm])(\d+)k", name)
    return 0.0 if name == CONTROL else float(found[2]) * (1 if found[1] == "p" else -1) if found else None


def plausible_response(offset):
    """(low, high) global response of tas, K: 0.8..5 to a sea 2 K warmer, 1.8..9 to one 4 K warmer, linear between."""
    low, high = 0.5 * abs(offset) - 0.2, 2 * abs(offset) + 1
    return (low, high) if offset >= 0 else (-high, -low)
