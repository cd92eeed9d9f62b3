"""Months on their way to the files: order, what is written while the next ones come, and faults of the writer."""

import threading
import time

import numpy as np
import pytest
import torch

from model import data, output
from model.output import MemberFile, Output
from tests.helpers import model_data
from tests.helpers.model_data import NAMES

COUNT, MEMBERS, GRID = 11, 3, (13, 24)


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    path = tmp_path_factory.mktemp("output") / "training.nc"
    return data.read_months(model_data.write_months(path, count=2, validation=1)).metadata


def months():
    return torch.arange(COUNT * MEMBERS * len(NAMES)).view(COUNT, MEMBERS, -1, 1, 1) + torch.rand(1, 1, 1, *GRID)


def files(folder, metadata):
    dates = model_data.months((1978, 10), COUNT)
    return [MemberFile(str(folder / f"r{member}.nc"), metadata, dates, {"member": member}) for member in range(MEMBERS)]


def written(path):
    with data.open_dataset(path) as dataset:
        return np.stack([dataset[name][:] for name in NAMES], axis=1)


@pytest.mark.parametrize("together", [1, 3, 100])
def test_every_month_of_every_member_is_where_it_belongs(tmp_path, metadata, monkeypatch, together):
    """However many months a buffer holds, and though the writer is slower than what comes."""
    values, seen, threads = months(), [], set()
    monkeypatch.setattr(output, "BUFFER_BYTES", together * values[0].numel() * 4)
    write = MemberFile.write

    def slow(self, given):
        threads.add(threading.get_ident())
        time.sleep(0.002)
        write(self, given)

    monkeypatch.setattr(MemberFile, "write", slow)

    def check(index, low, high):
        seen.append((index, low.copy(), high.copy()))

    with Output(files(tmp_path, metadata), COUNT, check) as out:
        for month in values:
            source = month.clone()
            out.add(source)
            source.fill_(torch.nan)  # the memory is the caller's again
        out.finish()
    for member in range(MEMBERS):
        assert np.array_equal(written(tmp_path / f"r{member}.nc"), values[:, member].numpy())
    assert not list(tmp_path.glob("*.partial")) and threading.get_ident() not in threads and len(threads) == 1
    assert [index for index, *_ in seen] == list(range(COUNT))
    for index, low, high in seen:
        assert np.array_equal(low, values[index].amin((2, 3))) and np.array_equal(high, values[index].amax((2, 3)))


def test_a_fault_of_the_writer_ends_the_run_in_one_sentence_and_nothing_follows_it(tmp_path, metadata, monkeypatch):
    """The disk is full in the fourth month of the second member."""
    values = months()
    monkeypatch.setattr(output, "BUFFER_BYTES", values[0].numel() * 4)
    members = files(tmp_path, metadata)
    variable, failed = members[1].variables[2], []

    class Full:
        def __setitem__(self, place, given):
            if place.start == 3:
                failed.append(place.start)
                raise RuntimeError("NetCDF: HDF error")
            variable[place] = given

    members[1].variables[2] = Full()
    sentence = r"member 1 cannot be written to .*r1.nc.partial after month 3: NetCDF: HDF error; make room there"
    with pytest.raises(OSError, match=sentence), Output(members, COUNT, lambda *_: None) as out:
        for number, month in enumerate(values):
            reached = number
            out.add(month)
        out.finish()
    assert 4 <= reached <= 5, "the next buffer, no later"
    assert failed == [3], "it is not tried again"
    for member, count in enumerate((4, 3, 3)):
        with data.open_dataset(tmp_path / f"r{member}.nc.partial") as kept:
            assert kept.months_written == count
            assert np.array_equal(kept[NAMES[0]][:count], values[:count, member, 0].numpy())
    assert not list(tmp_path.glob("*.nc"))


def test_what_a_check_refuses_ends_the_run_and_the_months_before_are_kept(tmp_path, metadata):
    values = months()

    def check(index, low, high):
        if index == 5:
            raise RuntimeError("too warm")

    with pytest.raises(RuntimeError, match="too warm"), Output(files(tmp_path, metadata), COUNT, check) as out:
        for month in values:
            out.add(month)
    with data.open_dataset(tmp_path / "r2.nc.partial") as kept:
        assert kept.months_written >= 5
        assert np.array_equal(kept[NAMES[1]][:5], values[:5, 2, 1].numpy())


class FailsToClose:
    """A dataset whose library has an error for whoever closes it."""

    def __init__(self, dataset):
        self.dataset = dataset

    def isopen(self):
        return self.dataset.isopen()

    def close(self):
        self.dataset.close()
        raise RuntimeError("NetCDF: HDF error")


@pytest.mark.parametrize("writes", [True, False])
@pytest.mark.parametrize("raised", [KeyError, RuntimeError, KeyboardInterrupt, None])
def test_what_ends_a_run_is_told_before_what_goes_wrong_at_its_end(tmp_path, metadata, monkeypatch, raised, writes):
    """Every other file is closed, and where nothing ended the run the fault of the end is its own."""
    values, members = months(), files(tmp_path, metadata)
    members[1].dataset = FailsToClose(members[1].dataset)
    if not writes:
        monkeypatch.setattr(output.Buffer, "months", lambda self: 1 / 0)

    def run():
        with Output(members, COUNT, lambda *_: None) as out:
            run.writer = out.writer
            for month in values[:3]:
                out.add(month)
            if raised:
                raise raised("first")

    at_its_end = (OSError, "member 1 .* after month 3: NetCDF: HDF") if writes else (ZeroDivisionError, "by zero")
    wanted, sentence = (raised, "first") if raised else at_its_end
    with pytest.raises(wanted, match=sentence):
        run()
    assert not any(file.dataset.isopen() for file in members)
    with pytest.raises(RuntimeError, match="after shutdown"):
        run.writer.submit(print)
    for member in (0, 2):
        with data.open_dataset(tmp_path / f"r{member}.nc.partial") as kept:
            assert kept.months_written == (3 if writes else 0)
    assert not list(tmp_path.glob("*.nc"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_s_months_are_copied_by_a_stream_of_their_own(tmp_path, metadata, monkeypatch):
    values = months()
    monkeypatch.setattr(output, "BUFFER_BYTES", 2 * values[0].numel() * 4)
    with Output(files(tmp_path, metadata), COUNT, lambda *_: None) as out:
        for month in values:
            out.add(month.cuda() * 1)
        assert out.buffers[0].values.is_pinned() and out.buffers[0].stream is not None
        out.finish()
    assert np.array_equal(written(tmp_path / "r1.nc"), values[:, 1].numpy())


def test_a_file_is_closed_by_no_thread_while_another_writes(tmp_path, metadata):
    """HDF5 is not made for several threads: a file closed while another was written ended a run in its last month."""
    file = files(tmp_path, metadata)[0]
    closing = threading.Thread(target=file.finish)
    with data.NETCDF:
        closing.start()
        closing.join(0.3)
        assert closing.is_alive() and file.dataset.isopen()
    closing.join()
    assert not file.dataset.isopen() and (tmp_path / "r0.nc").exists()
