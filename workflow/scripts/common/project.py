"""Where this copy of the project is. Needs the standard library only, so CMOR's interpreter can import it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "workflow" / "data"  # facts with their sources beside them
CMOR_FACTS = ROOT / "config" / "cmor"
