// One query of one run over time: film strip, signals, ground truth, positives (up), negatives (hanging down).
// Position says what a curve is before colour does, and line style and hatch say it once more.

const [BOX, BOXES] = [15, 5];  // height of a prediction's row, and how many there are at most

function layStage(width, strip, run, signals, titled, boxes) {
  const [left, up, down] = width < 560 ? [96, 88, 64] : [104, 104, 74];
  const inner = width - left - 16;
  const head = titled ? 22 : 0;
  const side = !strip ? 0 : strip.kind === "heat" ? 20 : clamp((inner / strip.count) * 0.95, 18, 96);
  const traces = head + side + (signals ? 8 : 0);
  const band = signals ? 44 : 0;
  const cap = traces + band + 16;
  const base = cap + 32 + up + (boxes ? BOX * Math.min(BOXES, run.counts.positives) : 0);
  const rows = [...(run.weighted ? ["weight"] : []), ...(run.rated ? ["IoN"] : [])];
  const floor = base + (run.counts.negatives ? down + 8 + 15 * rows.length + 4 : 8);
  return { width, left, inner, head, side, traces, band, cap, base, floor, up, down, rows, total: floor + 26 };
}

function drawStrip(ctx, look, box, strip) {
  const cell = box.inner / strip.count;
  if (strip.kind === "heat") {
    ctx.fillStyle = look.colors.attention;
    strip.values.forEach((value, i) => {
      ctx.globalAlpha = value / 255;
      ctx.fillRect(box.left + i * cell, box.head, cell + 0.5, box.side);
    });
    ctx.globalAlpha = 1;
    ctx.strokeStyle = look.line;
    ctx.strokeRect(box.left, box.head + 0.5, box.inner, box.side - 1);
    text(ctx, look, "features", box.left - 10, box.head + box.side / 2, { align: "right", color: look.faint });
    return;
  }
  const [step, px] = [Math.max(1, Math.ceil((0.98 * box.side) / cell)), strip.picture.height];
  for (let k = (step - 1) >> 1; k < strip.count; k += step) {
    ctx.drawImage(strip.picture, k * px, 0, px, px, box.left + (k + 0.5) * cell - box.side / 2, box.head, box.side, box.side);
  }
}

function drawTruths(ctx, look, box, query) {
  const place = (s) => box.left + (box.inner * clamp(s, 0, query.duration)) / query.duration;
  ctx.fillStyle = ctx.strokeStyle = look.colors.truth;
  ctx.lineWidth = 1;
  for (const [start, end] of query.truths) {
    const [x0, x1] = [place(start), place(end)];
    ctx.globalAlpha = look.dark ? 0.2 : 0.16;
    ctx.fillRect(x0, box.cap, x1 - x0, box.floor - box.cap);
    ctx.globalAlpha = 1;
    ctx.fillRect(x0, box.cap - 4, x1 - x0, 8);
    for (const x of [x0, x1]) line(ctx, x, box.cap, x, box.floor);
  }
  text(ctx, look, "ground truth", box.left - 10, box.cap, { align: "right", color: look.words.truth });
  const [[start, end]] = query.truths;
  const words = query.truths.length === 1 ? `${start.toFixed(1)}–${end.toFixed(1)} s` : `${query.truths.length} windows`;
  ctx.font = `11.5px ${look.font}`;
  const room = ctx.measureText(words).width + 14;
  // right of a window where there is room before the next, else left of the first, else nowhere
  const ends = query.truths.map(([, s], i) => [place(s), place((query.truths[i + 1] ?? [query.duration])[0])]);
  const after = [...ends].reverse().find(([from, to]) => to - from >= room);
  const at = after ? after[0] + 7 : place(start) - box.left >= room ? place(start) - room + 7 : null;
  if (at !== null) text(ctx, look, words, at, box.cap, { color: look.words.truth });
}

function drawAxis(ctx, look, box, duration) {
  ctx.strokeStyle = look.faint;
  ctx.lineWidth = 1;
  line(ctx, box.left, box.base + 0.5, box.left + box.inner, box.base + 0.5);
  const step = niceStep(duration, box.inner / 80);
  for (let s = 0; s <= duration; s += step) {
    const x = box.left + (box.inner * s) / duration;
    line(ctx, x, box.floor, x, box.floor + 4);
    text(ctx, look, String(+s.toFixed(2)), x, box.floor + 13, { align: "center", color: look.faint, size: 11 });
  }
  text(ctx, look, "time (s)", box.left - 10, box.floor + 13, { align: "right", color: look.faint, size: 11 });
}

// everything that stays while the epoch changes
function drawGround(ctx, look, box, strip, query, run, title, dash) {
  if (title) {  // with the line that the run has in the panels below
    text(ctx, look, title, box.left + 34, 8, { bold: true, size: 12.5, room: box.inner - 34 });
    ctx.strokeStyle = dash.length ? look.faint : look.ink;
    ctx.lineWidth = 1.6;
    ctx.setLineDash(dash);
    line(ctx, box.left, 8, box.left + 26, 8);
    ctx.setLineDash([]);
  }
  if (strip && box.side) drawStrip(ctx, look, box, strip);
  drawTruths(ctx, look, box, query);
  drawAxis(ctx, look, box, query.duration);
  if (run.counts.positives > 1) {
    text(ctx, look, "positives", box.left - 10, box.base - box.up / 2, { align: "right", color: look.words.positive });
  }
  text(ctx, look, "answer", box.left - 10, box.base, { align: "right", color: look.colors.chosen, bold: true });
  box.rows.forEach((name, i) => text(ctx, look, name, box.left - 10, box.base + box.down + 14 + 15 * i,
    { align: "right", color: look.faint, size: 10.5 }));
}

function drawSignals(ctx, look, box, run, e, q, signals) {
  ctx.strokeStyle = look.line;
  ctx.lineWidth = 1;
  line(ctx, box.left, box.traces + box.band, box.left + box.inner, box.traces + box.band);
  signals.forEach((signal, s) => {
    const values = signalAt(run, signal.name, e, q);
    const color = look.dark ? signal.dark : signal.color;
    const { low, high } = run.arrayTable[`signal/${signal.name}`];
    const points = [...values].map((v, i) => [box.left + (box.inner * (i + 0.5)) / values.length,
      box.traces + box.band - 2 - ((box.band - 6) * (v - low)) / (high - low || 1)]).filter(([, y]) => Number.isFinite(y));
    ctx.strokeStyle = color;
    ctx.lineWidth = 1.6;
    ctx.setLineDash(signal.dash);
    trace(ctx, points);
    ctx.stroke();
    ctx.setLineDash([]);
    const at = box.traces + (box.band * (s + 0.5)) / signals.length;
    text(ctx, look, points.length ? signal.title : `${signal.title}: none here`, box.left - 10, at,
      { align: "right", color, size: 11, room: box.left - 12 });
  });
}

// measured hardness is the colour of a negative; its dash is the clock
const colorOf = (look, item) =>
  (look.stops && item.negative && !Number.isNaN(item.hardness) ? mixStops(look.stops, item.hardness) : look.colors[item.role]);

// the outline of a curve; false where nothing of it lies in the video
function traceProposal(ctx, box, item) {
  const reach = item.negative ? box.down : -box.up;
  // as far as the curve is seen: its tails would only thicken the base line
  const half = 7.82 ** (1 / item.power) / item.sharpness;
  const [from, to] = [clamp(item.center - half, 0, 1), clamp(item.center + half, 0, 1)];
  if (to <= from) return false;
  const points = [];
  const steps = clamp(Math.ceil((to - from) * box.inner / 2), 48, 160);
  for (let i = 0; i <= steps; i++) points.push(from + ((to - from) * i) / steps);
  if (item.center > from && item.center < to) points.push(item.center);
  points.sort((a, b) => a - b);
  trace(ctx, points.map((t) => [box.left + box.inner * t, box.base + reach * height(item, t)]));
  return [from, to];
}

// the windows of the epochs before, the older the fainter
function drawTrail(ctx, look, box, ghosts) {
  ctx.lineWidth = 1.2;
  ghosts.forEach((items, age) => {
    ctx.globalAlpha = 0.5 * (1 - age / ghosts.length);
    for (const item of items) {
      ctx.strokeStyle = colorOf(look, item);
      if (traceProposal(ctx, box, item)) ctx.stroke();
    }
  });
  ctx.globalAlpha = 1;
}

function drawProposal(ctx, look, box, item, roles, selected, filled) {
  const [role, color] = [roles[item.role], colorOf(look, item)];
  const reached = traceProposal(ctx, box, item);
  if (!reached) return;
  const [from, to] = reached;
  ctx.strokeStyle = color;
  ctx.lineWidth = role.width * 1.25 + (selected ? 1.6 : 0);
  ctx.setLineDash(role.dash.map((d) => d * role.width * 1.25));
  ctx.stroke();
  ctx.setLineDash([]);
  if (!filled) return;
  ctx.lineTo(box.left + box.inner * to, box.base);
  ctx.lineTo(box.left + box.inner * from, box.base);
  ctx.fillStyle = item.negative ? hatch(ctx, look, color, role.dots) : color;
  ctx.globalAlpha = item.negative ? 1 : 0.22;
  ctx.fill();
  ctx.globalAlpha = 1;
}

function drawAnswer(ctx, look, box, answer) {
  const x = (fraction) => box.left + box.inner * clamp(fraction, 0, 1);
  ctx.fillStyle = look.colors.chosen;
  ctx.fillRect(x(answer.start), box.base - 3, x(answer.end) - x(answer.start), 6);
  const middle = clamp(x(answer.center), box.left + 26, box.left + box.inner - 26);
  text(ctx, look, Number.isNaN(answer.score) ? "" : `IoU ${number(answer.score)}`, middle, box.base - box.up - 10,
    { align: "center", color: look.colors.chosen, size: 12.5, bold: true, halo: true });
}

const bestOf = (items) => items.filter((item) => !item.negative).sort((a, b) => a.nll - b.nll || 0).slice(0, BOXES);
const sureness = (item) => (!Number.isNaN(item.weight) ? `confidence ${number(item.weight)}`
  : Number.isNaN(item.nll) ? item.name : `NLL ${number(item.nll)}`);
const boxWords = (items, { duration }) => bestOf(items).map((item) => [`${number(item.start * duration, 1)}–${number(item.end * duration, 1)} s`,
  sureness(item), ...(Number.isNaN(item.score) ? [] : [`IoU ${number(item.score)}`])].join(", ")).join("; ");

// the best predictions as boxes under the true ones: place, how sure the model is of them, and how right they are
function drawBoxes(ctx, look, box, items) {
  const x = (fraction) => box.left + box.inner * clamp(fraction, 0, 1);
  bestOf(items).forEach((item, i) => {
    const y = box.cap + 16 + BOX * i;
    ctx.strokeStyle = ctx.fillStyle = look.colors[item.role];
    ctx.lineWidth = 1.6;
    const [from, to] = [x(item.start), x(item.end)];
    ctx.globalAlpha = item.role === "chosen" ? 0.55 : 0.25;
    ctx.fillRect(from, y - 4, Math.max(to - from, 2), 9);
    ctx.globalAlpha = 1;
    ctx.strokeRect(from, y - 4, Math.max(to - from, 2), 9);
    text(ctx, look, sureness(item), box.left - 10, y, { align: "right", color: look.words[item.role], size: 10.5, room: box.left - 12 });
    if (Number.isNaN(item.score)) return;
    const right = to + 52 < box.left + box.inner || from - 52 < box.left;
    text(ctx, look, `IoU ${number(item.score)}`, right ? to + 5 : from - 5, y,
      { align: right ? "left" : "right", size: 10.5, halo: true, color: look.faint });
  });
}

// weights and IoN under the negatives; where there is no room for all, the heaviest
function drawNumbers(ctx, look, box, negatives) {
  const room = Math.floor((box.inner - 28) / 34) + 1;
  const value = (item) => (Number.isNaN(item.weight) ? item.score : item.weight);
  const shown = [...negatives].sort((a, b) => value(b) - value(a)).slice(0, room);
  const places = spread(shown.map((item) => box.left + box.inner * clamp(item.center, 0, 1)), 34, box.left + 14, box.left + box.inner - 14);
  const columns = { weight: "weight", IoN: "score" };
  box.rows.forEach((row, r) => shown.forEach((item, i) => {
    const v = item[columns[row]];
    if (Number.isNaN(v)) return;
    text(ctx, look, number(v), places[i], box.base + box.down + 14 + 15 * r,
      { align: "center", color: row === "IoN" || look.stops ? look.faint : look.words[item.role], size: 11, halo: true });
  }));
}

function drawLanes(ctx, look, box, items, roles, selected) {
  const negatives = items.filter((item) => item.negative);
  // more than a few hatched areas over one another say nothing
  const heavy = new Set([...negatives].sort((a, b) => (b.weight || 0) - (a.weight || 0)).slice(0, 4));
  const order = [...items].sort((a, b) => (a.role === "chosen") - (b.role === "chosen"));
  for (const item of order) {
    drawProposal(ctx, look, box, item, roles, item.name === selected, item.role === "chosen" || heavy.has(item));
  }
  const answer = answerOf(items);
  if (answer) drawAnswer(ctx, look, box, answer);
  [...new Set(negatives.map((item) => item.role))].forEach((name, i) =>
    text(ctx, look, roles[name].label, box.left - 10, box.base + 28 + 22 * i, { align: "right", color: look.stops ? look.faint : look.words[name] }));
  drawNumbers(ctx, look, box, negatives);
}

// the proposal whose curve passes near a point of the canvas
function proposalNear(box, items, px, py) {
  const t = (px - box.left) / box.inner;
  const far = (item) => Math.abs(box.base + (item.negative ? box.down : -box.up) * height(item, t) - py);
  const hits = items.filter((item) => height(item, t) > 0.02 && far(item) < 12);
  return hits.length ? hits.reduce((a, b) => (far(b) < far(a) ? b : a)) : null;
}
