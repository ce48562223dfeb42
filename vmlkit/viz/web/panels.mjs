// Curves over epochs (loss terms, metrics, c), one small panel each, with a cursor at the epoch shown.

const GAP = 52;

function layPanels(width, count) {
  const left = width < 560 ? 86 : 104;
  const inner = width - left - 16;
  const across = clamp(Math.min(count, Math.floor((inner + GAP) / 194)), 1, 4);
  const w = (inner + GAP) / across - GAP;
  const boxes = Array.from({ length: count }, (_, i) => (
    { x: left + (i % across) * (w + GAP), y: 30 + Math.floor(i / across) * 112, w, h: 58 }));
  return { boxes, total: count ? 112 * Math.ceil(count / across) : 0 };
}

// the values of a curve in every run that has it, on common axes; runs of unlike length over the share of training
function panelScale(runs, name, box, shares) {
  const lines = runs.map((run) => {
    const c = run.curves.findIndex((curve) => curve.name === name);
    const epochs = run.arrays.curve_epochs;
    return { epochs, unit: shares ? run.planned : 1, values: c < 0 ? null : run.arrays.curves.subarray(c * epochs.length, (c + 1) * epochs.length) };
  });
  const values = lines.flatMap(({ values: v }) => (v ? [...v] : [])).filter(Number.isFinite);
  const ends = lines.flatMap(({ epochs, unit }) => [epochs[0] / unit, epochs.at(-1) / unit]);
  const [low, high] = [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  const [first, last] = [Math.min(...ends), Math.max(...ends)];
  return { lines, low, high, first, last, shares,
    x: (e, { unit }) => box.x + (box.w * (e / unit - first)) / (last - first || 1),
    y: (v) => box.y + box.h - 4 - ((box.h - 8) * (v - low)) / (high - low || 1) };
}

function drawPanel(ctx, look, box, scale, title) {
  const { lines, low, high, first, last, shares, x, y } = scale;
  text(ctx, look, title, box.x, box.y - 14, { color: look.faint, room: box.w - 44 * lines.length });
  ctx.strokeStyle = look.line;
  ctx.lineWidth = 1;
  for (const level of [box.y + box.h, ...(low < 0 && high > 0 ? [y(0)] : [])]) line(ctx, box.x, level, box.x + box.w, level);
  drawTicks(ctx, look, box, scale);
  lines.forEach((one, r) => {
    const { epochs, values } = one;
    if (!values) return;
    ctx.strokeStyle = r ? look.faint : look.ink;
    ctx.lineWidth = 1.6;
    ctx.setLineDash(r ? [5, 3] : []);
    trace(ctx, [...values].map((v, i) => [x(epochs[i], one), y(v)]).filter(([, at]) => Number.isFinite(at)));
    ctx.stroke();
    ctx.setLineDash([]);
  });
  const [start, end] = shares ? ["start of training", `${Math.round(100 * last)} %`] : [`epoch ${first}`, String(last)];
  text(ctx, look, start, box.x, box.y + box.h + 11, { color: look.faint, size: 10.5 });
  text(ctx, look, end, box.x + box.w, box.y + box.h + 11, { align: "right", color: look.faint, size: 10.5 });
}

// a few round values beside the axis
function drawTicks(ctx, look, box, { low, high, y }) {
  if (!(high > low)) return;
  const step = niceStep(high - low, 3.4);
  const digits = clamp(Math.ceil(-Math.log10(step) - 1e-9), 0, 6);
  ctx.strokeStyle = look.line;
  ctx.lineWidth = 1;
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9 * step; v += step) {
    line(ctx, box.x - 4, y(v), box.x, y(v));
    text(ctx, look, number(Math.abs(v) < step / 2 ? 0 : v, digits), box.x - 6, y(v), { align: "right", color: look.faint, size: 10 });
  }
}

// `at` is the epoch that each run shows: a run that ended earlier stays at its last
function drawCursor(ctx, look, box, scale, lead, at) {
  ctx.strokeStyle = ctx.fillStyle = look.colors.chosen;
  ctx.lineWidth = 1;
  const here = scale.x(at[lead], scale.lines[lead]);
  line(ctx, here, box.y, here, box.y + box.h);
  const now = scale.lines.map(({ epochs, values }, r) => (values ? values[epochs.indexOf(at[r])] : NaN));
  now.forEach((value, r) => {
    if (!Number.isFinite(value)) return;
    ctx.beginPath();
    ctx.arc(scale.x(at[r], scale.lines[r]), scale.y(value), 3.5, 0, 7);
    if (r) { ctx.fillStyle = look.ground; ctx.fill(); ctx.fillStyle = look.colors.chosen; ctx.stroke(); } else ctx.fill();
  });
  const words = now.map((v) => (Number.isFinite(v) ? v.toPrecision(3).replace("-", "−") : "–")).join(" | ");
  text(ctx, look, words, box.x + box.w, box.y - 14, { align: "right", bold: true });
}

// the epoch of the leading run under a point of the canvas, or null
function epochAt(layout, scales, lead, px, py) {
  const i = layout.boxes.findIndex((b) => px >= b.x - 6 && px <= b.x + b.w + 6 && py >= b.y - 24 && py <= b.y + b.h + 20);
  if (i < 0) return null;
  const { first, last } = scales[i];
  return scales[i].lines[lead].unit * (first + clamp((px - layout.boxes[i].x) / layout.boxes[i].w, 0, 1) * (last - first));
}
