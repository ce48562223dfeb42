"""Every row of P3's Tables 3 to 8 as an experiment, with the published average mAP@0.3:0.7 on THUMOS14.

Released code exists for the full model only; the other rows follow the definitions of :mod:`vmlkit.actions.vlc` and
:mod:`vmlkit.actions.recurrent`.  Published numbers are the best evaluation on the test set.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from vmlkit.actions.presets import PRESETS
from vmlkit.actions.vlc import VLCConfig
from vmlkit.config import with_overrides
from vmlkit.errors import ConfigError
from vmlkit.training.experiment import Experiment


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """What a row changes, starting from a host."""

    method: str = "tsm-vlc"
    published: float  #: average mAP@0.3:0.7 in percent
    host: tuple[tuple[str, Any], ...] = ()  #: fields of the host
    vlc: tuple[tuple[str, Any], ...] | None = ()  #: fields of the completion network; None leaves it out
    template: str | None = None  #: of the captions


_CONV, _TEXT = (("classifier", "conv"),), (("classifier", "text"),)
_FULL = TableRow(published=37.2)
#: by number of the table, then by row
TABLES: dict[int, dict[str, TableRow]] = {
    3: {
        "baseline": TableRow(published=34.9, host=_CONV, vlc=None),
        "+ L_rec + L_con": TableRow(published=35.9, host=_CONV, vlc=(("contrast", False),)),
        "+ L_c": TableRow(published=36.3, host=_CONV),
        "P3": _FULL,
    },
    4: {"hand-crafted": TableRow(published=36.1, host=(("prompt", "handcrafted"),)), "learnable": _FULL},
    5: {
        "w/o": TableRow(published=35.4, vlc=None),
        **{
            name: TableRow(published=value, vlc=(("consistency", kind),))
            for name, kind, value in (("share", "share", 35.8), ("KL", "kl", 36.9), ("MAE", "mae", 36.4))
        },
        "MSE": _FULL,
    },
    6: {
        "w/o": TableRow(published=35.4, vlc=None),
        "GRU": TableRow(published=36.7, vlc=(("reconstructor", "gru"),)),
        "LSTM": TableRow(published=36.1, vlc=(("reconstructor", "lstm"),)),
        "Transformer": _FULL,
    },
    7: {
        "a [CLS]": TableRow(published=36.8, template="a "),
        "a video of action [CLS]": TableRow(published=36.6, template="a video of action "),
        # PAPER: this template / CODE: "one video of the [CLS]"
        "a video of the [CLS]": TableRow(published=37.2, template="a video of the "),
    },
    8: {
        f"{host}{plus}": TableRow(method=method, published=value, host=classifier, vlc=vlc)
        for host, method, values in (
            ("BaS-Net", "basnet", (27.3, 29.5, 30.2, 30.6)),
            ("HAM-Net", "hamnet", (30.8, 32.7, 33.6, 34.5)),
        )
        for (plus, classifier, vlc), value in zip(
            (("", _CONV, None), (" + TSM", _TEXT, None), (" + VLC", _CONV, ()), (" + TSM + VLC", _TEXT, ())),
            values,
            strict=True,
        )
    },
}


def p3_row(table: int, row: str, data: str = "toy", size: Literal["ci", "demo", "paper"] = "demo") -> Experiment:
    """The experiment of a row.

    Raises:
        ConfigError: for a table or a row that P3 does not have.
    """
    if table not in TABLES or row not in TABLES[table]:
        known = "; ".join(f"{number}: {', '.join(rows)}" for number, rows in TABLES.items())
        raise ConfigError(f"P3 has no row '{row}' in Table {table}: choose among {known}")
    wanted = TABLES[table][row]
    experiment = PRESETS[data](wanted.method, size)
    host = experiment.model.host
    for name, value in wanted.host:
        if name == "prompt":
            host = dataclasses.replace(host, text=dataclasses.replace(host.text, prompt=value))
        else:
            host = dataclasses.replace(host, **{name: value})
    vlc: VLCConfig | None = None
    if wanted.vlc is not None:
        vlc = PRESETS[data]("tsm-vlc", size).model.vlc
        assert vlc is not None
        # Table 8: the completion network's attention is built like the host's
        vlc = dataclasses.replace(vlc, attention=host.attention, **dict(wanted.vlc))
    changed = dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, host=host, vlc=vlc))
    return changed if wanted.template is None else with_overrides(changed, {"data.prompt_template": wanted.template})
