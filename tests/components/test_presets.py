"""P4's experiments: settings survive JSON, and other data than the toy world are refused with the way out."""

import json

import pytest

from vmlkit.components.methods import METHODS as COMPONENT_METHODS
from vmlkit.config import from_dict, to_dict
from vmlkit.data.settings import PlantedData
from vmlkit.errors import ConfigError, DataError
from vmlkit.methods import METHODS, preset


@pytest.mark.parametrize("method", COMPONENT_METHODS)
@pytest.mark.parametrize("size", ["ci", "demo", "paper"])
def test_settings_survive_json(method: str, size: str) -> None:
    model = preset(method, "toy", size).model
    assert from_dict(METHODS[method].config, json.loads(json.dumps(to_dict(model)))) == model


def test_other_data_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose one of toy"):
        preset("p4-xclip", "charades")
    with pytest.raises(DataError, match="PlantedData are not settings of a source of sentence components; use ToyData"):
        METHODS["p4-xclip"].load(PlantedData(), progress=False)
