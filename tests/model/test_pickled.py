"""Pickles read as data: what numpy and torch write comes back, and nothing that a hostile one asks for is done."""

import contextlib
import os
import pickle
import pickletools
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch

from model import pickled

MAPS = np.random.default_rng(5).normal(size=(5, 7, 12)).astype("f4")


@pytest.fixture
def read(tmp_path):
    """Read bytes as a pickle in a file."""

    def read(content):
        (tmp_path / "config.pkl").write_bytes(content)
        return pickled.read(tmp_path / "config.pkl")

    return read


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_containers_and_arrays_come_back_as_pickle_gives_them(read, protocol):
    arrays = {
        "plain": MAPS,
        "of fortran": np.asfortranarray(MAPS),
        "big-endian": MAPS.astype(">f8"),
        "a view": MAPS[:, ::2],
        "read only": np.frombuffer(b"\x00\xff" * 8, "u2"),
        "scalar": np.array(3.5),
        "names": np.array(["u", "t2m"]),
        "bools": np.array([True, False]),
    }
    rest = {
        "nested": [{"a": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]}, OrderedDict(b=None)],
        "numbers": [0, -1, 300, 70000, 10**30, 5e-3, True, False],
        "text": ["", "t850.0", "\u00e9\u4e16\n", b"\x00\xff"],
    }
    found = read(pickle.dumps({"arrays": arrays, "again": [arrays["plain"]], "rest": rest}, protocol))
    assert found["rest"] == rest
    assert found["again"][0] is found["arrays"]["plain"]
    assert found["arrays"].keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found["arrays"][name], array, strict=name != "big-endian")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_tensors_scalars_and_names_become_plain_data(read, protocol):
    tensors = [
        torch.from_numpy(MAPS),
        torch.from_numpy(MAPS).double()[1:, ::2].transpose(0, 2),
        torch.arange(4).half(),
        torch.tensor([True, False]),
        torch.tensor(7),
    ]
    rest = [np.str_("SDORSFC"), np.float32(2.5), torch.Size([3, 4]), torch.device("cuda:1"), torch.nn.GELU]
    *found, text, number, size, device, activation = read(pickle.dumps([*tensors, *rest], protocol))
    for values, tensor in zip(found, tensors, strict=True):
        np.testing.assert_array_equal(values, tensor.numpy(), strict=True)
    assert (text, number, size, device) == ("SDORSFC", 2.5, (3, 4), "cuda:1")
    assert isinstance(text, str) and str(activation) == "torch.nn.modules.activation.GELU"


class Harm:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def text(words):
    return pickle.SHORT_BINUNICODE + bytes([len(words)]) + words.encode()


# What makes the folder "harmed" if it is unpickled, and what the reader says of it.
HARMFUL = {
    "reduce": (pickle.dumps({"a": Harm(os.mkdir, "harmed")}), "the name posix.mkdir"),
    "reduce, as text": (pickle.dumps(Harm(os.system, "mkdir harmed"), 0), "the name posix.system"),
    "nested": (pickle.dumps([{"a": (1, Harm(eval, "__import__('os').mkdir('harmed')"))}], 2), "eval"),
    "names in the memo": (
        b"\x80\x04" + text("os") + b"\x94" + text("mkdir") + b"\x94\x85h\x00h\x01\x93" + text("harmed") + b"\x85R.",
        "the name os.mkdir",
    ),
    "a path into a module": (
        b"\x80\x04"
        + text("torch.nn.modules.activation")
        + text("torch.os.mkdir")
        + b"\x93"
        + text("harmed")
        + b"\x85R.",
        "a call of torch.nn.modules.activation.torch.os.mkdir",
    ),
    "INST": (b"(S'mkdir harmed'\nios\nsystem\n.", "the opcode INST"),
    "OBJ": (b"(cos\nsystem\nS'mkdir harmed'\no.", "the name os.system"),
    "an array of objects": (pickle.dumps(np.array([Harm(os.mkdir, "harmed")], "O")), "an array of dtype 'O8'"),
}
OTHERS = {
    "an object's state": (pickle.dumps(np.ma.masked_array([1.0])), "the name numpy.ma.core._mareconstruct"),
    "a class by NEWOBJ": (b"\x80\x02cnumpy\ndtype\nU\x02f4\x85\x81.", "the opcode NEWOBJ"),
    "OBJ of a known name": (b"(ctorch\ndevice\nS'cpu'\no.", "the opcode OBJ"),
    "a state for a container": (b"\x80\x02}U\x01a\x85b.", "a state for dict"),
    "an extension": (b"\x80\x02\x82\x01.", "the opcode EXT1"),
    "a byte order of objects": (b"\x80\x02cnumpy\ndtype\nU\x02f4\x85R(K\x03U\x03O,>tb.", "a byte order that is none"),
    "a key that is no text": (b"\x80\x02})\x85K\x01s.", "a key of kind tuple"),
    "a persistent id": (b"\x80\x02U\x01aQ.", "the opcode BINPERSID"),
    # Each pair holds the one before twice: as text, twenty of them are a million words long.
    "a device of pairs": (
        b"\x80\x02U\x01aq\x00" + b"h\x00h\x00\x86q\x00" * 20 + b"ctorch\ndevice\nh\x00\x85R.",
        "a device named by a tuple",
    ),
}


@pytest.mark.parametrize("name", HARMFUL)
def test_what_a_hostile_pickle_asks_for_is_refused_and_not_done(read, tmp_path, monkeypatch, name):
    content, message = HARMFUL[name]
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(TypeError):  # of OBJ and INST, whose result is no object
        pickle.loads(content)
    (tmp_path / "harmed").rmdir()  # it does harm
    with pytest.raises(ValueError, match=f"config.pkl holds .*{re.escape(message)}.*, which is no data; only contain"):
        read(content)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_data_is_refused(read, name):
    content, message = OTHERS[name]
    with pytest.raises(ValueError, match=f"config.pkl holds {re.escape(message)}, which is no data"):
        read(content)


def tensor(change=lambda raw: raw, size=(4,), stride=(1,)):
    """A pickled tensor of four numbers, with the bytes of its storage changed."""
    opcodes = pickletools.genops(pickle.dumps(torch.arange(4.0), 4))
    (raw,) = (argument for opcode, argument, _ in opcodes if opcode.name == "BINBYTES")
    storage = Harm(torch.storage._load_from_bytes, change(raw))
    return pickle.dumps(Harm(torch._utils._rebuild_tensor_v2, storage, 0, size, stride, False, OrderedDict()))


def test_a_tensor_is_read_as_strictly(read):
    np.testing.assert_array_equal(read(tensor()), np.arange(4, dtype="f4"), strict=True)
    np.testing.assert_array_equal(read(tensor(size=(2,), stride=(3,))), [0, 3])
    for content, message in (
        (tensor(lambda raw: raw.replace(b"ctorch\nFloatStorage", b"cos\nsystem")), "holds the name os.system"),
        (tensor(lambda raw: raw[:-4]), "no pickle that can be read: buffer is smaller"),
        (tensor(lambda raw: raw[14:]), "no pickle that can be read"),
        (tensor(size=(5,)), r"no pickle that can be read: a tensor of shape \(5,\) has 4 numbers"),
        (tensor(size=(2,), stride=(4,)), r"a tensor of shape \(2,\) has 4 numbers"),
        (tensor(size=(10**12,), stride=(0,)), "has 4 numbers"),
        (tensor(size=(2,), stride=(-1,)), "no pickle that can be read"),
    ):
        with pytest.raises(ValueError, match=f"config.pkl (is|holds) .*{message.removeprefix('holds ')}"):
            read(content)


def test_text_beyond_unicode_is_refused(read):
    content = pickle.dumps(np.str_("m"), 4)
    assert read(content) == "m"
    with pytest.raises(ValueError, match="config.pkl is no pickle that can be read"):
        read(content.replace(b"m\0\0\0", b"m\0\0\x7f"))


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps(MAPS)[:-1], b"\x80\x02h\x07.", b"\x80\x02}R.", b"."])
def test_what_is_no_whole_pickle_is_refused(read, content):
    with pytest.raises(ValueError, match=r"config\.pkl is no pickle that can be read: \S"):
        read(content)
