import shutil

import pytest

from tests.helpers import submission_files
from tests.helpers.checking import MODEL


@pytest.fixture
def copy(tmp_path):
    """A copy of one good simulation, to break."""
    folder = f"submission/{MODEL}/aimip/r1i1p1f1"
    shutil.copytree(submission_files.tree() / folder, tmp_path / folder)
    return tmp_path


@pytest.fixture
def work(tmp_path):
    """A copy of the made submission, to break."""
    shutil.copytree(submission_files.tree() / "submission", tmp_path / "submission")
    return tmp_path
