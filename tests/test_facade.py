"""``import vmlkit as vk``: the names of a first cell, and ``python -m vmlkit``."""

import importlib
import subprocess
import sys

import pytest

import vmlkit as vk


@pytest.mark.parametrize("name", vk._HOMES)
def test_a_name_is_the_one_of_its_module(name: str) -> None:
    assert getattr(vk, name) is getattr(importlib.import_module(vk._HOMES[name]), name)
    assert name in dir(vk)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'presets'"):
        _ = vk.presets


def test_python_m_vmlkit_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "vmlkit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"vmlkit {vk.__version__}\n"
