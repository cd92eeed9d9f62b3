"""intake-esm without the threads for which the netCDF library is not made."""

import pytest


def without_threads(patch):
    """Refuse threads as docs/example.md does, and fail at once where intake-esm opens the files of a dataset in some.

    Two files opened at once crash the netCDF library only now and then, so a test that hopes for it tells nothing.
    """
    dask = pytest.importorskip("dask")

    def compute(*_, **__):
        raise AssertionError("intake-esm opens files in threads")

    patch.setenv("ITK_ESM_THREADING", "False")
    patch.setattr(dask, "compute", compute)
