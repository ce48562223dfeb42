"""What a number was computed with."""

from vmlkit import provenance


def test_a_measurement_records_all_three() -> None:
    made = provenance.made_with("a card", 2)
    assert made == {
        "versions": provenance.versions(),
        "revision": provenance.revision(),
        "hardware": provenance.hardware("a card", 2),
    }
