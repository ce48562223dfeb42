// Spans of time: their lengths, what two share, and a hand that drags them on a canvas.

const lengthOf = ([start, end]) => Math.max(end - start, 0);
const shared = (a, b) => [Math.max(a[0], b[0]), Math.max(Math.max(a[0], b[0]), Math.min(a[1], b[1]))];
const spanOf = (model, name) => [model.get(`${name}_start`), model.get(`${name}_end`)];

function iouOf(a, b) {
  const both = lengthOf(shared(a, b));
  return both > 0 ? both / (Math.max(a[1], b[1]) - Math.min(a[0], b[0])) : 0;
}

// an end that a dial moves past the other is held by it
function straighten(model, name) {
  const [start, end] = spanOf(model, name);
  if (start > end) put(model, `${name}_end`, start);
}

// both ends, in an order in which neither passes the other on the way
function putSpan(model, name, start, end) {
  put(model, `${name}_end`, Math.max(end, model.get(`${name}_start`)));
  put(model, `${name}_start`, start);
  put(model, `${name}_end`, end);
}

// `at` is the time under the pointer and `find` the span there, { name, start, end, low, high, near, fresh }, or null:
// at an end (as near as `near`) it is stretched, elsewhere moved within low to high; beside a `fresh` one a new one begins
function dragSpans(canvas, { at, find, move }) {
  let held = null;
  canvas.style.touchAction = "none";
  canvas.addEventListener("pointerdown", (event) => {
    const [span, from] = [find(event), at(event)];
    if (!span) return;
    const near = Math.min(span.near, (span.end - span.start) / 3);
    const edge = Math.abs(from - span.start) <= near ? "start" : Math.abs(from - span.end) <= near ? "end"
      : span.fresh && (from < span.start || from > span.end) ? "fresh" : "both";
    held = { ...span, from, edge };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [{ start, end, from, edge, low, high }, t] = [held, at(event)];
    const by = clamp(t - from, low - start, high - end);
    move(held.name, ...{ fresh: [Math.min(from, t), Math.max(from, t)], both: [start + by, end + by],
      start: [Math.min(t, end), end], end: [start, Math.max(t, start)] }[edge]);
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { held = null; });
}
