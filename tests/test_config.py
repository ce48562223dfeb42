"""Settings from outside: what is accepted, what is refused and how, and kinds that are told apart by their name."""

import dataclasses
from typing import Any, Literal

import pytest

from vmlkit.config import config_hash, from_dict, to_dict, with_overrides
from vmlkit.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Square:
    name: Literal["square", "cube"] = "square"
    side: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Circle:
    name: Literal["circle"] = "circle"
    radius: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wheel(Circle):
    spokes: int = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Drawing:
    shape: Square | Circle = Square()
    base: Circle = Wheel()
    frame: Square | None = None
    anything: Any = Circle()
    colors: tuple[str, ...] = ()
    size: tuple[int, float] = (1, 1.0)
    layers: int | None = None
    filled: bool = False
    grid: Literal[1, 2, "none"] = 1


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("shape.side", 2, Square(side=2.0)),
        ("shape", {"name": "circle", "radius": 3}, Circle(radius=3.0)),
        ("shape", {"name": "cube"}, Square(name="cube")),
        ("shape", Circle(), Circle()),
        ("base", {"spokes": 3}, Wheel(spokes=3)),
        ("frame", {"side": 4}, Square(side=4.0)),
        ("frame", None, None),
        ("anything", {"radius": 2}, Circle(radius=2.0)),
        ("anything.radius", 2, Circle(radius=2.0)),
        ("colors", ["red", "blue"], ("red", "blue")),
        ("size", [2, 3], (2, 3.0)),
        ("layers", None, None),
        ("filled", True, True),
        ("grid", "none", "none"),
    ],
)
def test_values_are_taken(key: str, value: Any, expected: Any) -> None:
    changed = with_overrides(Drawing(), {key: value})
    assert getattr(changed, key.split(".")[0]) == expected
    kinds = {"base": Wheel, "anything": Circle}
    again = from_dict(Drawing, {k: v for k, v in to_dict(changed).items() if k not in kinds})
    assert again == dataclasses.replace(changed, base=Wheel(), anything=Circle())
    assert config_hash(changed) != config_hash(Drawing()) or changed == Drawing()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("shape.radius", 1, "unknown setting 'shape.radius' for Square: the fields are: name, side"),
        ("shape.sides", 1, "did you mean 'side'?"),
        ("shape", {"name": "oval"}, "setting 'name' must be one of 'square', 'cube', 'circle', not 'oval'"),
        ("shape", {"side": 1}, "setting 'name' must be one of 'square', 'cube', 'circle', not None"),
        ("shape", {"name": "circle", "side": 1}, "unknown settings for Circle: side"),
        ("shape", 3, "setting 'shape' takes"),
        ("frame", {"side": "wide"}, "setting 'side' takes float, not 'wide' (str)"),
        ("anything", 3, "setting 'anything' takes its settings by name, not 3 (int)"),
        ("colors", ["red", 1], "setting 'colors' takes str, not 1 (int)"),
        ("size", [1, 2, 3], "setting 'size' takes tuple, not [1, 2, 3] (list)"),
        ("layers", True, "setting 'layers' takes int | None, not True (bool)"),
        ("layers", 1.5, "not 1.5 (float)"),
        ("filled", 1, "setting 'filled' takes bool, not 1 (int)"),
        ("grid", True, "setting 'grid' must be one of 1, 2, 'none', not True"),
        ("grid", 3, "setting 'grid' must be one of 1, 2, 'none', not 3"),
        ("layers.deep", 3, "unknown setting 'layers.deep' for NoneType: the fields are: none"),
    ],
)
def test_other_values_are_refused(key: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_overrides(Drawing(), {key: value})
    assert message in str(caught.value)


def test_a_message_about_a_setting_stays_one_line_however_long_its_value() -> None:
    with pytest.raises(ConfigError) as caught:
        with_overrides(Drawing(), {"layers": "a\nb" * 10_000})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 2000
