"""The checks' engine: rules by name, what they expect, and the findings they leave.

A rule is a function that yields one sentence for each thing that is wrong. Its name, with dashes, is the name that
findings and ``--allow`` use; its scope says what it is given: a file, or the files of a simulation, the simulations
of an experiment or of a submission. The rules stand in check/names.py, check/attributes.py, check/axes.py,
check/values.py and check/sets.py.
"""

import csv
import logging
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch

from workflow.scripts.common import mip_tables
from workflow.scripts.common.months import month_range, period_label
from workflow.scripts.common.periods import PROTOCOL

RULES: dict[str, "Rule"] = {}  # filled by the decorator ``rule``

# Rules that need more than their files: put by check/simulation.py and check/across.py. {name: (scope, title)}.
FURTHER_RULES = {
    "cf-conventions": ("file", "The IOOS compliance checker finds the file true to CF 1.7"),
    "prepare": ("file", "PrePARE, CMOR's own checker, finds the file true to its tables and vocabulary"),
    "cmip6-structure": ("submission", "cc-plugin-wcrp finds a file of each variable and grid true to CMIP6"),
    "cmip6-vocabulary": ("submission", "cc-plugin-wcrp finds its attributes in the vocabulary of CMIP6 (esgvoc)"),
    "protocol-period": ("simulation", f"The simulation has the months of AIMIP's protocol, {' to '.join(PROTOCOL)}"),
    "prescribed-sea": ("simulation", "ts over ice-free open sea is the prescribed SST plus the experiment's offset"),
    "sea-offset": ("submission", "ts over ice-free open sea differs from aimip's by exactly the experiment's offset"),
}

# What AIMIP asks for; alternatives stand in one tuple. Our own submission holds every variable of the table.
ASKED: tuple[tuple[str, ...], ...] = (
    *(("ta",), ("hus",), ("ua",), ("va",), ("ps", "psl"), ("ts",), ("tas",)),
    *(("huss", "tdas"), ("uas",), ("vas",), ("pr",), ("zg",)),
)
ASKED_MEMBERS = 5  # of each experiment


@dataclass(frozen=True)
class Rule:
    """A named check: ``scope`` file, simulation, experiment or submission; ``own``: for our own submission only."""

    name: str
    scope: str
    title: str
    warning: bool
    own: bool
    function: object


@dataclass(frozen=True)
class Finding:
    """One thing wrong: which rule, which file or folder, what and which value; ``gate`` False only warns."""

    rule: str
    subject: str
    message: str
    gate: bool = True

    def __str__(self):
        return f"{self.subject}: {self.rule}: {self.message}"


def rule(scope, warning=False, own=False):
    """Register the decorated generator function as a rule; its docstring is the rule's title."""

    def register(function):
        name = function.__name__.replace("_", "-")
        RULES[name] = Rule(name, scope, function.__doc__.strip("."), warning, own, function)
        return function

    return register


@dataclass
class Expectation:
    """What the rules compare with: facts of the variables and axes, ranges, period; and, of our own, the config's."""

    entries: dict
    axes: dict
    ranges: list
    period: tuple
    settings: dict | None = None  # submission.json of the tables; None for somebody else's submission
    asked: tuple = ASKED

    @property
    def months(self):
        """All months of the simulation."""
        return month_range(*self.period)

    @property
    def label(self):
        """The period as file names write it."""
        return period_label(*self.period)

    def levels(self, variable):
        """Pressure levels (Pa) of a variable, surface first; none at the surface."""
        return mip_tables.levels(self.entries[variable], self.axes)

    def height(self, variable):
        """Height above the surface (m) of a variable, or None."""
        return mip_tables.height(self.entries[variable], self.axes)


def expectation(facts, ranges, tables=None, period=PROTOCOL):
    """Read an Expectation: ``facts`` is config/cmor, ``ranges`` its ranges.csv, ``tables`` the folder of our own."""
    source = tables or facts
    entries, axes = mip_tables.read_entries(source), mip_tables.read_axes(source)
    with open(ranges, newline="", encoding="utf-8") as file:
        rows = [
            {key: value if key == "variable" or value == "" else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]
    if tables is None:
        return Expectation(entries, axes, rows, tuple(period))
    settings = mip_tables.read_table(source, mip_tables.SUBMISSION)
    return Expectation(entries, axes, rows, tuple(settings["period"]), settings, tuple((name,) for name in entries))


@dataclass
class Report:
    """Findings so far and how many subjects each rule was put to; ``allow`` holds RULE or RULE=PATTERN texts.

    ``left_out`` says why a rule was not put: {name: reason}.
    """

    allow: tuple = ()
    checked: dict = field(default_factory=dict)
    findings: list = field(default_factory=list)
    left_out: dict = field(default_factory=dict)

    def __post_init__(self):
        for text in self.allow:
            name = text.partition("=")[0]
            if name not in RULES and name not in FURTHER_RULES:
                known = ", ".join(sorted({*RULES, *FURTHER_RULES}))
                raise ValueError(f"--allow {text}: no rule is called '{name}'; there are {known}")

    def apply(self, scope, subject, *given, own, skip=()):
        """Put all rules of ``scope`` to what is ``given``; ``own`` False leaves out those for our own submission."""
        for each in RULES.values():
            if each.scope == scope and each.name not in skip and (own or not each.own):
                self.checked[each.name] = self.checked.get(each.name, 0) + 1
                for message in each.function(*given):
                    self.add(each.name, subject, message, gate=not each.warning)

    def add(self, name, subject, message, gate=True):
        """Note one finding; an allowed one does not gate."""
        allowed = any(
            name == text.partition("=")[0] and fnmatch(subject, text.partition("=")[2] or "*") for text in self.allow
        )
        self.findings.append(Finding(name, subject, message, gate and not allowed))

    def count(self, name, subjects=1):
        """Note that a rule of FURTHER_RULES was put to so many subjects."""
        self.checked[name] = self.checked.get(name, 0) + subjects

    def leave_out(self, name, reason):
        """Note that a rule of FURTHER_RULES was not put, and why."""
        self.left_out[name] = reason

    def merge(self, other):
        """Take over what another report, or the dict of one, found."""
        content = other if isinstance(other, dict) else other.as_dict()
        for name, count in content["checked"].items():
            self.checked[name] = self.checked.get(name, 0) + count
        self.findings += [Finding(**finding) for finding in content["findings"]]
        self.left_out |= content["left_out"]

    def as_dict(self):
        """The report for JSON."""
        findings = [asdict(finding) for finding in self.findings]
        return {"checked": self.checked, "findings": findings, "left_out": self.left_out}

    @property
    def gates(self):
        """Findings that stop the workflow."""
        return [finding for finding in self.findings if finding.gate]

    def log_and_raise(self):
        """Write the findings to the log; RuntimeError with the first that gates and how many more there are."""
        for finding in self.findings:
            (logging.error if finding.gate else logging.warning)("%s", finding)
        if self.gates:
            more = f" (and {len(self.gates) - 1} more, see the log)" if len(self.gates) > 1 else ""
            raise RuntimeError(f"{self.gates[0]}{more}")

    def table(self):
        """One row per rule: rule, scope, title, checked, failed, warned, why it was left out, first finding."""
        rows = []
        for name, count in {
            **self.checked,
            **{name: 0 for name in sorted(self.left_out.keys() - self.checked)},
        }.items():
            scope, title = (RULES[name].scope, RULES[name].title) if name in RULES else FURTHER_RULES[name]
            found = [finding for finding in self.findings if finding.rule == name]
            rows.append(
                {
                    "rule": name,
                    "scope": scope,
                    "title": title,
                    "checked": count,
                    "failed": sum(finding.gate for finding in found),
                    "warned": sum(not finding.gate for finding in found),
                    "left_out": self.left_out.get(name, ""),
                    "first": str(found[0]) if found else "",
                }
            )
        return rows
