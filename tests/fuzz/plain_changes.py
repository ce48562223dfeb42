"""Changes of bytes, of the kind of a file, of JSON and of lines of text."""

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

#: stands in JSON for what Python's writer does not write
_RAW = {
    "@digits@": "9" * 5000,
    "@4000 digits@": "9" * 4000,
    "@infinity@": "Infinity",
    "@nan@": "NaN",
    "@1e999@": "1e999",
    "@deep@": "[" * 1000 + "]" * 1000,
    "@deeper@": '{"a":' * 90_000 + "1" + "}" * 90_000,
    "@surrogate@": r'"\ud83d"',
    "@nul@": r'"a\u0000b"',
}
#: put in the place of a value
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 0.5, -0.5, 1e308, -1e-300, "", " ", "x", "1.5", "nan", [], {},
    [[]], [None], {"": None}, [1, "a"], ["a", "b"], {"a": 1}, "../../etc/passwd", "/etc/passwd", "..", "CON", "a/b",
    "a" * 10_000, "</script><script>document.title='taken'</script>", "\u202egnp.exe\u202c", "\u2066\u2069\u200b",
    "<img src=x onerror=document.title='taken'>",
    '"', "a,b", '"a\n', "=1+1", "1e5", "1_0", "\u0661", "-inf", "{{ 1 }}", "%s%n", "a\nb", "a\tb", "ü" * 300, *_RAW,
)  # fmt: skip


# ---- bytes and kinds of files


def truncated(path: Path, draws: random.Random) -> str:
    data = path.read_bytes()
    cut = draws.choice((0, 1, 8, draws.randrange(len(data) + 1)))
    path.write_bytes(data[:cut])
    return f"to {cut} of {len(data)}"


def flipped(path: Path, draws: random.Random) -> str:
    data = bytearray(path.read_bytes())
    places = [draws.randrange(len(data)) for _ in range(draws.choice((1, 1, 3, 20)))] if data else []
    for place in places:
        data[place] ^= 1 << draws.randrange(8)
    path.write_bytes(bytes(data))
    return f"bits at {places[:3]}"


def replaced(path: Path, draws: random.Random) -> str:
    data = bytearray(path.read_bytes())
    start = draws.randrange(len(data) + 1)
    new = draws.choice(
        (b"\0" * 16, b"\xff" * 16, draws.randbytes(draws.randrange(1, 64)), b"\xed\xa0\x80", b"\xfe\xff")
    )
    data[start : start + draws.choice((0, len(new), 50))] = new
    path.write_bytes(bytes(data))
    return f"{new[:4]!r} at {start}"


def doubled(path: Path, draws: random.Random) -> str:
    data = path.read_bytes()
    path.write_bytes(data + data[draws.randrange(len(data) + 1) :])
    return "its end again"


def encoded(path: Path, draws: random.Random) -> str:
    code = draws.choice(("utf-16-le", "utf-16", "utf-32", "latin-1", "utf-8-sig", "gb18030"))
    text = path.read_bytes().decode("latin-1") + ("é" if code == "latin-1" else "")
    path.write_bytes(text.encode(code))
    return code


def windows(path: Path, draws: random.Random) -> str:
    path.write_bytes(path.read_bytes().replace(b"\n", draws.choice((b"\r\n", b"\r", b"\n\n", b"\n\0", b"\x0b"))))
    return "other ends of lines"


def noise(path: Path, draws: random.Random) -> str:
    path.write_bytes(draws.randbytes(draws.choice((0, 1, 100, 5000))))
    return "random bytes"


def no_file(path: Path, draws: random.Random) -> str:
    kind = draws.choice(("pipe", "folder", "device", "loop", "outside", "gone"))
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "outside":
        path.symlink_to("/etc/hostname")
    return kind


def _bomb(byte: bytes) -> bytes:
    """A gigabyte in some megabytes: a block a thousand times, each a member of its own."""
    return gzip.compress(byte * (1 << 20), 1) * (1 << 10)


def bomb(path: Path, draws: random.Random) -> str:
    if path.suffix == ".gz":
        path.write_bytes(_bomb(draws.choice((b"[", b" ", b"\0", b"\n"))))
        return "a gigabyte, packed"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    return "three gigabytes of nothing"


BYTES = (truncated, flipped, flipped, replaced, replaced, doubled, encoded, windows, noise, no_file, bomb)


# ---- JSON


def _text(path: Path) -> str:
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


def _write(path: Path, text: str) -> None:
    data = text.encode(errors="surrogatepass")
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)


def change_value(value: Any, draws: random.Random) -> tuple[Any, str]:
    """A JSON value with one node changed, and where."""
    place, node = "", {"": value}
    holder, key = node, ""
    while isinstance(node[key], (dict, list)) and node[key] and (place == "" or draws.random() < 0.85):
        inner = node[key]
        holder, key = inner, draws.choice(list(inner)) if isinstance(inner, dict) else draws.randrange(len(inner))
        node, place = holder, f"{place}.{key}"[:120]
    how = draws.random()
    if how < 0.15 and holder is not value and isinstance(holder, dict):
        del holder[key]
        return value, f"{place} deleted"
    if how < 0.25 and isinstance(holder, list):
        holder.insert(key, holder[key])
        return value, f"{place} doubled"
    if how < 0.3 and isinstance(holder, dict) and key != "":
        name = draws.choice([v for v in VALUES if isinstance(v, str)])
        holder[name] = holder.pop(key)
        return value, f"{place} renamed"
    new = draws.choice(VALUES)
    if how > 0.92 and isinstance(node[key], (int, float)):
        new = -node[key]
    if place == "":
        return new, f"all is {str(new)[:20]}"
    holder[key] = new
    return value, f"{place} = {str(new)[:20]}"


def dumps(value: Any) -> str:
    text = json.dumps(value)
    for name, raw in _RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text


def json_changed(path: Path, draws: random.Random) -> str:
    """One node or several of a JSON file."""
    value, said = json.loads(_text(path)), []
    for _ in range(draws.choice((1, 1, 1, 3))):
        value, what = change_value(value, draws)
        said.append(what)
    text = dumps(value)
    if draws.random() < 0.05 and '": ' in text:  # a name that stands twice
        at = draws.choice([i for i in range(len(text)) if text.startswith('": ', i)][:1000])
        name = text[text.rfind('"', 0, at) : at + 1]
        text = text[: at + 3] + draws.choice(("null, ", "[], ", '"x", ')) + name + ": " + text[at + 3 :]
        said.append(f"{name[:40]} twice")
    _write(path, text)
    return "; ".join(said)


def lines_changed(path: Path, draws: random.Random) -> str:
    """A line of JSON lines."""
    lines = _text(path).split("\n")
    at = draws.choice([i for i, line in enumerate(lines) if line.strip()])
    value, said = change_value(json.loads(lines[at]), draws)
    lines[at] = dumps(value)
    _write(path, "\n".join(lines))
    return f"line {at + 1}: {said}"


def text_changed(path: Path, draws: random.Random) -> str:
    """A field of a line of text, or the order of the lines."""
    lines = _text(path).split("\n")
    at = draws.randrange(len(lines))
    sign = next((s for s in ("##", ",", "\t", " ") if s in lines[at]), " ")
    fields = lines[at].split(sign)
    which = draws.randrange(len(fields))
    new = draws.choice([str(v) for v in VALUES if isinstance(v, (str, int, float))])
    fields[which] = _RAW.get(new, new)[:20_000]
    lines[at] = sign.join(fields) if draws.random() < 0.8 else sign.join(fields[:which])
    if draws.random() < 0.1:
        lines[at] = "x " * 10**6
    _write(path, "\n".join(lines))
    return f"line {at + 1}, field {which}: {new[:20]}"
