"""Databases of esgvoc made from the CMIP6 tables of Debian's cmor-tables, as a stand-in for those that it downloads.

esgvoc itself makes their tables and answers the plugin's questions; only the terms are put in here.
"""

import json
from pathlib import Path

CMIP6_TABLES = Path("/usr/share/cmor/CMIP6")
NAMES = (
    "activity_id experiment_id frequency grid_label institution_id nominal_resolution product realm source_id".split()
)
NAMES += ["source_type", "table_id", "mip_era"]
NUMBERED = r"^r\d+i\d+p\d+f\d+$"
PATTERNS = {
    "Conventions": r"^CF-1\.\d+$|^CMIP-6\.\d+$",
    "creation_date": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
    "data_specs_version": r"^\d\d\.\d\d\.\d\d$",
    "license": r"^CMIP6 model data produced by .*$",
    "tracking_id": r"^hdl:21\.14100/[0-9a-f-]{36}$",
    "variant_label": NUMBERED,
}


def write_vocabulary(folder, variables):
    """Write and activate the databases of cmip6 and universe in ``folder``, which ESGVOC_DB_DIR has to name.

    ``variables``: {variable: its branded name in the plugin's table}.
    """
    from esgvoc.core.db.models.project import project_create_db
    from esgvoc.core.db.models.universe import universe_create_db
    from esgvoc.core.service.user_state import UserState

    for name, create, fill in (
        ("cmip6", project_create_db, _fill_project),
        ("universe", universe_create_db, _fill_universe),
    ):
        path = Path(folder) / name / "made.db"
        path.parent.mkdir(parents=True)
        create(path)
        fill(path, variables)
        UserState.load().set_active(name, "made", source="local")


def _fill_project(path, variables):
    from esgvoc.core.db.connection import DBConnection
    from esgvoc.core.db.models.mixins import TermKind
    from esgvoc.core.db.models.project import PCollection, Project, PTerm

    known = json.loads((CMIP6_TABLES / "CMIP6_CV.json").read_text())["CV"]
    collections = {name: [known[name]] if isinstance(known[name], str) else list(known[name]) for name in NAMES}
    collections |= {"variable_id": list(variables)}
    with DBConnection(path).create_session() as session:
        project = Project(id="cmip6", specs={}, git_hash="")

        def add(name, kind, terms):
            context = {"id": name, "context": {}, "data_descriptor_id": name, "term_kind": kind}
            collection = PCollection(**context, project=project)
            for term in terms:
                session.add(PTerm(id=term["id"], specs=term, kind=kind, collection=collection))
            session.add(collection)

        for name, terms in collections.items():
            described = [{"id": term.lower(), "type": name, "drs_name": term, "description": term} for term in terms]
            add(name, TermKind.PLAIN, described)
        for name, pattern in PATTERNS.items():
            add(name, TermKind.PATTERN, [{"id": name.lower(), "type": name, "drs_name": name, "regex": pattern}])
        session.commit()


def _fill_universe(path, variables):
    from esgvoc.core.db.connection import DBConnection
    from esgvoc.core.db.models.mixins import TermKind
    from esgvoc.core.db.models.universe import UDataDescriptor, Universe, UTerm
    from sqlalchemy import text

    entries = json.loads((CMIP6_TABLES / "CMIP6_Amon.json").read_text())["variable_entry"]
    with DBConnection(path).create_session() as session:
        universe = Universe(git_hash="")
        described = {
            "known_branded_variable": [
                {
                    "id": branded,
                    "type": "known_branded_variable",
                    "cf_standard_name": entries[name]["standard_name"],
                    "units": entries[name]["units"],
                    "cell_methods": entries[name]["cell_methods"],
                }
                for name, branded in variables.items()
            ],
            "variable": [
                {"id": name, "type": "variable", "long_name": entries[name]["long_name"]} for name in variables
            ],
        }
        for name, terms in described.items():
            descriptor = UDataDescriptor(id=name, context={}, universe=universe, term_kind=TermKind.PLAIN)
            for term in terms:
                session.add(UTerm(id=term["id"], specs=term, kind=TermKind.PLAIN, data_descriptor=descriptor))
        session.commit()
        session.exec(
            text(
                "INSERT INTO uterms_fts5(pk, id, specs, kind, data_descriptor_pk) "
                "SELECT pk, id, specs, kind, data_descriptor_pk FROM uterms;"
            )
        )
        session.commit()
