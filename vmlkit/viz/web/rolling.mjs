// Free negatives on the CE curve of a sentence, beside those of a recorded network.  The rule is the one of
// vmlkit.reconstruction.free_negatives, step by step; the tests hold the two together.

const signAt = (epoch, epochs, alpha, beta) => Math.min(epoch / epochs, 1) ** alpha - beta;
const turnOf = (epochs, alpha, beta) => {
  let turn = 0;
  for (let e = 1; e <= epochs; e++) if (signAt(e, epochs, alpha, beta) < -1e-9) turn = e;
  return turn;
};

// centers of the negatives of one sentence, before the first epoch and after each
function roll(curve, { epochs, start, rule: { steps, rate, memory } }, alpha, beta) {
  const pieces = curve.length - 1;
  let [step, at, first, second] = [0, [...start], start.map(() => 0), start.map(() => 0)];
  const path = [at];
  for (let e = 1; e <= epochs; e++) {
    const c = signAt(e, epochs, alpha, beta);
    for (let s = 0; s < steps; s++) {
      const known = 1 - memory ** ++step;
      at = at.map((x, m) => {
        const piece = Math.min(Math.trunc(x * pieces), pieces - 1);
        const slope = c * (curve[piece + 1] - curve[piece]) * pieces;
        first[m] = memory * first[m] + (1 - memory) * slope;
        second[m] = memory * second[m] + (1 - memory) * slope ** 2;
        return clamp(x - (rate * (first[m] / known)) / (Math.sqrt(second[m] / known) + 1e-8), 0, 1);
      });
    }
    path.push(at);
  }
  return path;
}

function heightOn(curve, x) {
  const place = clamp(x, 0, 1) * (curve.length - 1);
  const left = Math.min(Math.trunc(place), curve.length - 2);
  return curve[left] + (place - left) * (curve[left + 1] - curve[left]);
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / Math.max(values.length, 1);

function iouOf(center, width, [start, end]) {
  const [a, b] = [clamp(center - width / 2, 0, 1), clamp(center + width / 2, 0, 1)];
  const shared = Math.min(b, end) - Math.max(a, start);
  return shared > 0 ? shared / (Math.max(b, end) - Math.min(a, start)) : 0;
}

// what a learner is told about one sentence: overlaps, gap, and how many negatives lie within the margin
function numbersAt({ centers, widths }, curve, answer, sentence, sentences, margin) {
  const own = mean(centers.map((c, m) => iouOf(c, widths[m], sentence.truth)));
  const rest = sentences.filter((other) => other !== sentence);
  const others = mean(rest.map(({ truth }) => mean(centers.map((c, m) => iouOf(c, widths[m], truth)))));
  const gaps = centers.map((c) => heightOn(curve, c) - answer[2]);
  return { own, others, gaps, gap: mean(gaps), within: gaps.filter((g) => g < margin).length };
}

// negatives of a recorded network at a share of its training; between two epochs on the straight line
function recordedAt(network, s, share) {
  const { epochs } = network;
  const wanted = share * epochs.at(-1);
  const right = Math.max(epochs.findIndex((e) => e >= wanted - 1e-9), 0);
  const left = Math.max(right - 1, 0);
  const part = right === left ? 0 : (wanted - epochs[left]) / (epochs[right] - epochs[left]);
  const between = (rows) => rows[left].map((v, m) => v + part * (rows[right][m] - v));
  return { centers: between(network.centers[s]), widths: between(network.widths[s]) };
}

function layRolling(width, frames) {
  const [left, right] = [width < 560 ? 62 : 74, 14];
  const inner = width - left - right;
  const side = clamp(inner / Math.max(frames, 8) - 1, 20, 56);
  const strip = 24;
  const cap = strip + side + 10;
  const curve = { top: cap + 18, bottom: cap + 158 };
  const trail = { top: curve.bottom + 26, bottom: curve.bottom + 136 };
  return { width, left, inner, side, strip, cap, curve, trail, total: trail.bottom + 24, x: (t) => left + inner * clamp(t, 0, 1) };
}

// thumbnails are squares side by side
const framesOf = (picture) => (picture ? Math.round(picture.width / picture.height) : 0);

function drawFilm(ctx, box, picture) {
  if (!picture) return;
  const px = picture.height;
  const count = framesOf(picture);
  for (let k = 0; k < count; k++) {
    ctx.drawImage(picture, k * px, 0, px, px, box.x((k + 0.5) / count) - box.side / 2, box.strip, box.side, box.side);
  }
}

// what stays while the epoch changes: strip, truth, curve, the line of the margin, the axes
function drawScene(ctx, look, box, scene) {
  const { sentence, curve, answer, margin, turn, picture, y, row } = scene;
  const label = (words, at, options = {}) => text(ctx, look, words, box.left - 8, at, { align: "right", color: look.faint, size: 11, room: box.left - 10, ...options });
  drawFilm(ctx, box, picture);
  const [from, to] = sentence.truth.map(box.x);
  ctx.fillStyle = look.colors.truth;
  ctx.globalAlpha = look.dark ? 0.2 : 0.16;
  ctx.fillRect(from, box.cap, to - from, box.trail.bottom - box.cap);
  ctx.globalAlpha = 1;
  ctx.fillRect(from, box.cap - 3, to - from, 6);
  label("truth", box.cap, { color: look.words.truth });
  const [low, high] = [Math.min(...curve), Math.max(...curve)];
  label(number(low), y(low));
  label(`CE ${number(high)}`, y(high));
  ctx.strokeStyle = look.ink;
  ctx.lineWidth = 1.8;
  trace(ctx, curve.map((v, i) => [box.x(i / (curve.length - 1)), y(v)]));
  ctx.stroke();
  const level = y(answer[2] + margin);
  ctx.strokeStyle = look.colors.chosen;
  ctx.lineWidth = 1;
  ctx.setLineDash([5, 4]);
  line(ctx, box.left, level, box.left + box.inner, level);
  ctx.setLineDash([]);
  label("answer + γ", clamp(level, y(high) + 12, y(low) - 12), { color: look.words.chosen, size: 10.5 });
  const x = box.x(answer[0]);
  ctx.fillStyle = look.colors.chosen;
  trace(ctx, [[x, y(answer[2]) - 5], [x + 6, y(answer[2]) + 6], [x - 6, y(answer[2]) + 6]]);
  ctx.fill();
  text(ctx, look, "answer", clamp(x, box.left + 22, box.left + box.inner - 22), box.curve.bottom + 12, { align: "center", color: look.words.chosen, size: 11, halo: true });
  ctx.strokeStyle = look.line;
  ctx.lineWidth = 1;
  for (const e of [0, 1]) line(ctx, box.left, row(e), box.left + box.inner, row(e));
  label("start", row(0));
  label("end", row(1));
  if (turn > 0 && turn < 1) {
    ctx.strokeStyle = look.faint;
    line(ctx, box.left, row(turn), box.left + box.inner, row(turn));
    label("c = 0", row(turn));
  }
  const seconds = niceStep(sentence.duration, box.inner / 70);
  for (let s = 0; s <= sentence.duration; s += seconds) {
    text(ctx, look, String(+s.toFixed(2)), box.x(s / sentence.duration), box.trail.bottom + 14, { align: "center", color: look.faint, size: 11 });
  }
  label("time (s)", box.trail.bottom + 14);
}

// the way of each negative down the epochs: bold as far as it has come
function drawTrails(ctx, look, box, { path, gaps, top, turn, row, share }) {
  for (const past of [false, true]) {
    for (let i = 1; i < path.length; i++) {
      const [a, b] = [path[i - 1], path[i]];
      if (past && a.share >= share) break;
      const cut = past ? clamp((share - a.share) / (b.share - a.share), 0, 1) : 1;
      b.centers.forEach((center, m) => {
        ctx.strokeStyle = past ? hardness(look, gaps[i][m], top) : look.line;
        ctx.lineWidth = past ? 2.6 : 1.2;
        ctx.setLineDash(past && b.share <= turn + 1e-9 ? [2, 3] : []);
        const end = a.centers[m] + cut * (center - a.centers[m]);
        line(ctx, box.x(a.centers[m]), row(a.share), box.x(end), row(a.share + cut * (b.share - a.share)));
      });
    }
  }
  ctx.setLineDash([]);
  ctx.strokeStyle = look.ink;
  ctx.lineWidth = 1;
  line(ctx, box.left - 5, row(share), box.left + box.inner, row(share));
}

function drawBalls(ctx, look, box, { now, gaps, top, curve, y, easy, title, direction }) {
  text(ctx, look, title, box.left, 9, { bold: true, size: 12.5, room: box.inner - 110 });
  text(ctx, look, direction, box.left + box.inner, 9, { align: "right", color: look.faint });
  now.centers.forEach((center, m) => {
    // balls at one place stand beside one another
    const before = now.centers.slice(0, m).filter((c) => Math.abs(c - center) * box.inner < 6).length;
    const [px, py] = [box.x(center), y(heightOn(curve, center)) - 12 * before];
    ctx.beginPath();
    ctx.arc(px, py, 7, 0, 2 * Math.PI);
    ctx.fillStyle = hardness(look, gaps[m], top);
    ctx.fill();
    ctx.strokeStyle = look.ink;
    ctx.lineWidth = 1.6;
    ctx.setLineDash(easy ? [2, 2.4] : []);
    ctx.stroke();
    ctx.setLineDash([]);
  });
}

// colour by how near the CE of a negative comes to that of the answer: easy at the top of the curve, hard at no gap
function hardness(look, gap, easy) {
  const { stops } = look;
  const place = clamp(1 - gap / easy, 0, 1) * (stops.length - 1);
  const left = Math.min(Math.floor(place), stops.length - 2);
  const channels = [left, left + 1].map((i) => [1, 3, 5].map((k) => parseInt(stops[i].slice(k, k + 2), 16)));
  return `rgb(${channels[0].map((v, k) => Math.round(v + (place - left) * (channels[1][k] - v))).join(", ")})`;
}
