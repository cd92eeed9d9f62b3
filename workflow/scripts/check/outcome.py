"""The outcome of all checks of a submission, for programs and for people: JSON, CSV and an HTML page."""

import csv
import html
import json

# Imported for the rules that they register: a row of the outcome has its rule's title.
from workflow.scripts.check import attributes, axes, names, sets, values  # noqa: F401
from workflow.scripts.check.conformance import NOT_PUT
from workflow.scripts.common.atomic import atomic_path


def write_outcome(simulations, report, result, table, page):
    """Write a report as JSON with the files it is about, as CSV and as a page, each with one row per rule.

    JSON and page also have every finding with its file, rule and value.
    """
    rows = report.table()
    with atomic_path(result) as temporary:
        content = {"simulations": simulations, "rules": rows, "report": report.as_dict()}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with atomic_path(table) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with atomic_path(page) as temporary:
        temporary.write_text(_page(simulations, rows, report), encoding="utf-8")


STYLE = """
body { font-family: sans-serif; margin: 2em auto; max-width: 75em; color: #222 }
table { border-collapse: collapse; margin-bottom: 2em } td, th { padding: .25em .8em; border-bottom: 1px solid #ccc;
text-align: left; vertical-align: top } td.number { text-align: right } tr.failed { background: #fbd5d0 }
tr.warned { background: #fdf0c4 } tr.left_out { color: #777 } td { overflow-wrap: break-word }
"""


def _page(simulations, rows, report):
    files = sum(len(simulation["files"]) for simulation in simulations)
    models = sorted({f"{each['institution_id']}/{each['source_id']}" for each in simulations if "source_id" in each})
    rules = _html_table(
        ("rule", "of a", "what it asks for", "checked", "failed", "warned"),
        [(_cells(row), next((kind for kind in ("failed", "warned", "left_out") if row[kind]), "")) for row in rows],
    )
    left = [([row["rule"], row["left_out"]], "") for row in rows if row["left_out"]]
    left += [([f"cmip6-structure: {pattern}", reason], "") for pattern, reason in NOT_PUT]
    found = [
        ([finding.subject, finding.rule, finding.message], "failed" if finding.gate else "warned")
        for finding in sorted(report.findings, key=lambda finding: not finding.gate)
    ]
    return (
        "<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>Checks of the submission</title>"
        f"<style>{STYLE}</style></head><body><h1>Checks of the submission {html.escape(', '.join(models))}</h1>"
        f"<p>{len(rows)} rules on {files} files of {len(simulations)} simulations: {len(report.gates)} findings stop "
        f"the submission, {len(report.findings) - len(report.gates)} are warnings.</p><h2>Findings</h2>"
        + (_html_table(("file or folder", "rule", "what and which value"), found) if found else "<p>None.</p>")
        + f"<h2>Rules</h2>{rules}<h2>Left out</h2>{_html_table(('rule, or check of it', 'why'), left)}</body></html>\n"
    )


def _cells(row):
    title = f"{row['title']} (left out, see below)" if row["left_out"] else row["title"]
    return [row["rule"], row["scope"], title, row["checked"], row["failed"], row["warned"]]


def _html_table(head, rows):
    """An HTML table; ``rows``: (cells, class of the row)."""

    def cell(value, kind="td"):
        number = " class='number'" if isinstance(value, int) else ""
        return f"<{kind}{number}>{html.escape(str(value))}</{kind}>"

    lines = [f"<tr>{''.join(cell(each, 'th') for each in head)}</tr>"]
    lines += [f"<tr class='{name}'>{''.join(map(cell, cells))}</tr>" for cells, name in rows]
    return f"<table>{''.join(lines)}</table>"
