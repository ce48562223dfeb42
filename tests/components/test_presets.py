"""P4's experiments: settings survive JSON, and other data than the toy world are refused with the way out."""

import json

import pytest

from vmlkit.components.methods import METHODS as COMPONENT_METHODS
from vmlkit.components.methods import load_with_components
from vmlkit.config import from_dict, to_dict
from vmlkit.data.sources import DataConfig
from vmlkit.errors import ConfigError
from vmlkit.methods import METHODS, preset


@pytest.mark.parametrize("method", COMPONENT_METHODS)
@pytest.mark.parametrize("size", ["ci", "demo", "paper"])
def test_settings_survive_json(method: str, size: str) -> None:
    model = preset(method, "toy", size).model
    assert from_dict(METHODS[method].config, json.loads(json.dumps(to_dict(model)))) == model


def test_other_data_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of toy"):
        preset("p4-xclip", "charades")
    with pytest.raises(ConfigError, match="attach them"):
        load_with_components(DataConfig(name="planted:charades"), progress=False)
