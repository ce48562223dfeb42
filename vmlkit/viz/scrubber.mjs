// The epoch scrubber: one module for a live notebook (anywidget calls render) and for pages without a kernel.
// Everything it shows was recorded; it draws on a canvas, loads nothing, and keeps its numbers in the page as text.

const MISSING = 65535;
const SPEEDS = [1, 2, 4, 8];  // epochs a second
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  // JupyterLab's shortcuts swallow arrow keys unless the focused element itself carries this attribute
  if (["BUTTON", "SELECT", "INPUT"].includes(node.tagName)) node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children);
  return node;
}

function decode(model) {
  const meta = model.get("meta");
  const raw = model.get("data");
  // a copy: the view may start at an address that a typed array does not accept
  const bytes = new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength).slice();
  const types = { uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array };
  const arrays = {};
  for (const [name, entry] of Object.entries(meta.arrays)) {
    const count = entry.shape.reduce((a, b) => a * b, 1);
    const stored = new types[entry.dtype](bytes.buffer, entry.offset, count);
    arrays[name] = entry.low === undefined ? stored : Float64Array.from(stored, (code) =>
      code === MISSING ? NaN : entry.low + (code / (MISSING - 1)) * (entry.high - entry.low));
  }
  return { meta, bytes, arrays };
}

async function decodeStrips({ meta, bytes }) {
  const videos = meta.strips ? meta.strips.videos : [];
  return Promise.all(videos.map(async (video) => {
    if (!video) return null;
    const part = bytes.slice(video.offset, video.offset + video.length);
    if (video.kind === "heat") return { ...video, values: part };
    return { ...video, picture: await createImageBitmap(new Blob([part], { type: "image/jpeg" })) };
  }));
}

// one query at one epoch: proposals with their role, place and numbers
function proposalsAt(run, e, q) {
  const [{ positives: P, negatives: M }, [, Q, K]] = [run.meta.counts, run.meta.arrays.center.shape];
  const chosen = run.arrays.chosen[e * Q + q];
  const list = [];
  for (let k = 0; k < K; k++) {
    const i = (e * Q + q) * K + k;
    if (Number.isNaN(run.arrays.center[i])) continue;
    const negative = k >= P;
    const role = negative ? run.meta.negative_roles[run.arrays.role[(e * Q + q) * M + k - P]] : k === chosen ? "chosen" : "positive";
    const item = { k, role, negative, name: negative ? `negative ${k - P + 1}` : `positive ${k + 1}` };
    for (const name of ["center", "width", "start", "end", "weight", "score", "nll"]) item[name] = run.arrays[name][i];
    const { sigma, floor } = run.meta.shapes[negative ? 1 : 0];
    item.sharpness = sigma / Math.max(item.width, floor);
    list.push(item);
  }
  return list;
}

const height = (item, t) => Math.exp(-0.5 * ((t - item.center) * item.sharpness) ** 2);

function theme(root, roles) {
  const css = getComputedStyle(root);
  const read = (name) => css.getPropertyValue(name).trim();
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = read("--vk-ground");
  const channels = probe.fillStyle.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(probe.fillStyle.slice(i, i + 2), 16)) : probe.fillStyle.match(/[\d.]+/g).map(Number);
  const dark = 0.3 * channels[0] + 0.59 * channels[1] + 0.11 * channels[2] < 128;
  const pick = (shade) => Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, role[dark ? "dark" : shade]]));
  return { ground: read("--vk-ground"), ink: read("--vk-ink"), faint: read("--vk-faint"), line: read("--vk-line"),
    font: css.fontFamily, dark, colors: pick("light"), words: pick("text") };
}

function hatch(ctx, color, dots) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const pen = tile.getContext("2d");
  pen.strokeStyle = pen.fillStyle = color;
  pen.globalAlpha = 0.55;
  if (dots) pen.fillRect(2, 2, 1.4, 1.4);
  else for (const shift of [-6, 0, 6]) line(pen, shift, 6, shift + 6, 0);
  return ctx.createPattern(tile, "repeat");
}

function niceStep(range, wanted) {
  const power = 10 ** Math.floor(Math.log10(range / wanted));
  return [1, 2, 5, 10].map((f) => f * power).find((step) => step >= (range / wanted) * 0.999);
}

// places moved apart so that neighbours are a gap away, within low..high
function spread(places, gap, low, high) {
  const order = places.map((_, i) => i).sort((a, b) => places[a] - places[b]);
  const out = places.map((x) => clamp(x, low, high));
  for (let n = 0; n < 30; n++) for (let i = 1; i < order.length; i++) {
    const push = (gap - (out[order[i]] - out[order[i - 1]])) / 2;
    if (push > 0) { out[order[i - 1]] -= push; out[order[i]] += push; }
  }
  order.forEach((o, i) => { out[o] = clamp(out[o], low + i * gap, high - (order.length - 1 - i) * gap); });
  return out;
}

function layOut(width, strip, run) {
  const [left, up, down, panel, inner] = [104, 104, 74, 66, width - 120];
  const side = !strip ? 0 : strip.kind === "heat" ? 20 : clamp((inner / strip.count) * 0.95, 24, 96);
  const [cap, base] = [side + 16, side + 48 + up];
  const floor = base + (run.meta.counts.negatives ? down + 26 : 8);
  const panels = floor + 62;
  return { width, left, inner, side, cap, base, floor, panels, panel, up, down,
    total: run.meta.curves.length ? panels + panel + 22 : floor + 30 };
}

function text(ctx, look, words, x, y, { align = "left", color = look.ink, size = 11.5, bold = false, halo = false, room } = {}) {
  ctx.font = `${bold ? "600 " : ""}${size}px ${look.font}`;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  if (halo) { ctx.strokeStyle = look.ground; ctx.lineWidth = 3; ctx.lineJoin = "round"; ctx.strokeText(words, x, y); }
  ctx.fillStyle = color;
  ctx.fillText(words, x, y, room);
}

const path = (points) => new Path2D(`M${points.map(([x, y]) => `${x} ${y}`).join("L")}`);
const line = (ctx, x0, y0, x1, y1) => ctx.stroke(path([[x0, y0], [x1, y1]]));

function drawStrip(ctx, look, box, strip) {
  const cell = box.inner / strip.count;
  if (strip.kind === "heat") {
    ctx.fillStyle = look.colors.attention;
    strip.values.forEach((value, i) => { ctx.globalAlpha = value / 255; ctx.fillRect(box.left + i * cell, 0, cell + 0.5, box.side); });
    ctx.globalAlpha = 1;
    ctx.strokeStyle = look.line;
    ctx.strokeRect(box.left, 0.5, box.inner, box.side - 1);
    text(ctx, look, "features", box.left - 10, box.side / 2, { align: "right", color: look.faint });
    return;
  }
  const [step, px] = [Math.max(1, Math.ceil((0.98 * box.side) / cell)), strip.picture.height];
  for (let k = (step - 1) >> 1; k < strip.count; k += step) {
    ctx.drawImage(strip.picture, k * px, 0, px, px, box.left + (k + 0.5) * cell - box.side / 2, 0, box.side, box.side);
  }
}

function drawTruth(ctx, look, box, query) {
  const [x0, x1] = query.truth.map((s) => box.left + (box.inner * s) / query.duration);
  ctx.fillStyle = ctx.strokeStyle = look.colors.truth;
  ctx.globalAlpha = look.dark ? 0.2 : 0.16;
  ctx.fillRect(x0, box.cap, x1 - x0, box.floor - box.cap);
  ctx.globalAlpha = 1;
  ctx.fillRect(x0, box.cap - 4, x1 - x0, 8);
  ctx.lineWidth = 1;
  for (const x of [x0, x1]) line(ctx, x, box.cap, x, box.floor);
  const right = x1 < box.left + 0.82 * box.inner;
  const words = query.truth.map((s) => s.toFixed(1)).join("–") + " s";
  text(ctx, look, words, right ? x1 + 7 : x0 - 7, box.cap, { align: right ? "left" : "right", color: look.words.truth });
  text(ctx, look, "ground truth", box.left - 10, box.cap, { align: "right", color: look.words.truth });
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

function drawProposal(ctx, look, box, item, roles, selected) {
  const [role, color, reach] = [roles[item.role], look.colors[item.role], item.negative ? box.down : -box.up];
  // every pixel, and the peak itself, which a narrow curve would hide between two pixels
  const places = [...Array(Math.ceil(box.inner)).keys(), box.inner, clamp(item.center, 0, 1) * box.inner].sort((a, b) => a - b);
  const points = places.map((x) => [x, height(item, x / box.inner)]).filter(([, y]) => y > 0.02)
    .map(([x, y]) => [box.left + x, box.base + reach * y]);
  if (!points.length) return;
  const area = path([[points[0][0], box.base], ...points, [points.at(-1)[0], box.base]]);
  ctx.fillStyle = item.negative ? hatch(ctx, color, item.role === "easy_negative") : color;
  ctx.globalAlpha = { positive: 0, chosen: 0.22 }[item.role] ?? 1;
  ctx.fill(area);
  ctx.globalAlpha = 1;
  ctx.strokeStyle = color;
  ctx.lineWidth = role.width * 1.25 + (selected ? 1.6 : 0);
  ctx.setLineDash(role.dash.map((d) => d * role.width * 1.25));
  ctx.stroke(path(points));
  ctx.setLineDash([]);
}

function drawLanes(ctx, look, box, items, roles, selected) {
  const order = [...items].sort((a, b) => (a.role === "chosen") - (b.role === "chosen"));
  for (const item of order) drawProposal(ctx, look, box, item, roles, item.k === selected);
  const x = (fraction) => box.left + box.inner * clamp(fraction, 0, 1);
  const answer = items.find((item) => item.role === "chosen");
  if (items.some((item) => item.role === "positive")) {
    text(ctx, look, "positives", box.left - 10, box.base - box.up / 2, { align: "right", color: look.words.positive });
  }
  if (answer) {
    ctx.fillStyle = look.colors.chosen;
    ctx.fillRect(x(answer.start), box.base - 3, x(answer.end) - x(answer.start), 6);
    text(ctx, look, "answer", box.left - 10, box.base, { align: "right", color: look.colors.chosen, bold: true });
    const middle = clamp(x(answer.center), box.left + 26, box.left + box.inner - 26);
    const score = Number.isNaN(answer.score) ? "" : `IoU ${answer.score.toFixed(2)}`;
    text(ctx, look, score, middle, box.base - box.up - 10,
      { align: "center", color: look.colors.chosen, size: 12.5, bold: true, halo: true });
  }
  const negatives = items.filter((item) => item.negative);
  [...new Set(negatives.map((item) => item.role))].forEach((name, i) =>
    text(ctx, look, roles[name].label, box.left - 10, box.base + 32 + 24 * i, { align: "right", color: look.words[name] }));
  const weighted = negatives.filter((item) => !Number.isNaN(item.weight));
  spread(weighted.map((item) => x(item.center)), 34, box.left + 14, box.left + box.inner - 14).forEach((at, i) =>
    text(ctx, look, weighted[i].weight.toFixed(2), at, box.base + box.down + 12,
      { align: "center", color: look.words[weighted[i].role], size: 11, halo: true }));
}

function drawPanel(ctx, look, box, run, c, epoch) {
  const [epochs, place] = [run.arrays.curve_epochs, panelBox(box, run, c)];
  const values = run.arrays.curves.subarray(c * epochs.length, (c + 1) * epochs.length);
  const [low, high] = [Math.min, Math.max].map((extreme) => extreme(...[...values].filter(Number.isFinite)));
  const x = (e) => place.x + (place.w * (e - epochs[0])) / Math.max(epochs.at(-1) - epochs[0], 1);
  const y = (v) => place.y + place.h - 4 - ((place.h - 8) * (v - low)) / (high - low || 1);
  const at = epochs.indexOf(epoch);
  const now = at >= 0 && Number.isFinite(values[at]) ? values[at].toPrecision(3).replace("-", "−") : "–";
  text(ctx, look, run.meta.curves[c].title, place.x, place.y - 14, { color: look.faint, room: place.w - 44 });
  text(ctx, look, now, place.x + place.w, place.y - 14, { align: "right", bold: true });
  ctx.strokeStyle = look.line;
  ctx.lineWidth = 1;
  for (const level of [place.y + place.h, ...(low < 0 && high > 0 ? [y(0)] : [])]) line(ctx, place.x, level, place.x + place.w, level);
  ctx.strokeStyle = look.faint;
  ctx.lineWidth = 1.6;
  ctx.stroke(path([...values].map((v, i) => [x(epochs[i]), y(v)]).filter(([, at]) => Number.isFinite(at))));
  ctx.strokeStyle = look.colors.chosen;
  ctx.lineWidth = 1;
  line(ctx, x(epoch), place.y, x(epoch), place.y + place.h);
  if (now !== "–") { ctx.fillStyle = look.colors.chosen; ctx.beginPath(); ctx.arc(x(epoch), y(values[at]), 3.5, 0, 7); ctx.fill(); }
  for (const e of [epochs[0], epochs.at(-1)]) {
    text(ctx, look, e === epochs[0] ? `epoch ${e}` : String(e), x(e), place.y + place.h + 11,
      { align: e === epochs[0] ? "left" : "right", color: look.faint, size: 10.5 });
  }
}

function panelBox(box, run, c) {
  const w = (box.inner + 28) / run.meta.curves.length - 28;
  return { x: box.left + c * (w + 28), y: box.panels, w, h: box.panel };
}

function numbersOf(item, query) {
  const number = (name, value) => (Number.isNaN(value) ? [] : [`${name} ${value.toFixed(2)}`]);
  const seconds = [item.start, item.end].map((f) => (f * query.duration).toFixed(1)).join("–");
  return [item.name + (item.role === "chosen" ? " (the answer)" : ""), `${seconds} s`,
    ...number(item.negative ? "IoN" : "IoU", item.score), ...number("NLL", item.nll), ...number("weight", item.weight)].join(" · ");
}

function buildControls(run) {
  const { meta } = run;
  const play = make("button", { type: "button", class: "play" }, "▶ Play");
  const speed = make("select", { class: "speed", "aria-label": "speed" },
    ...SPEEDS.map((s) => make("option", { value: s }, s === 1 ? "1 epoch/s" : `${s} epochs/s`)));
  speed.value = "2";
  const slider = make("input", { type: "range", min: 0, max: meta.epochs.length - 1, step: 1, "aria-label": "epoch" });
  const at = make("span", { class: "at" });
  const query = make("select", { class: "query", "aria-label": "query" },
    ...meta.queries.map((q) => make("option", { value: q.id }, `“${q.sentence}”`)));
  const pick = make("select", { class: "pick", "aria-label": "proposal" });
  const label = make("p", { class: "label", role: "status", "aria-live": "polite" });
  const canvas = make("canvas", { role: "img", "data-draws": 0 });
  const detail = make("p", { class: "detail" });
  const note = make("p", { class: "note" }, meta.left_out);
  const root = make("div", { class: "vmlkit-scrubber" }, make("div", { class: "row" }, play, speed, slider, at),
    make("div", { class: "row" }, query, pick), label, canvas, detail, note);
  note.hidden = !meta.left_out;
  return { root, play, speed, slider, at, query, pick, label, canvas, detail };
}

function render({ model, el }) {
  const run = decode(model);
  const { meta } = run;
  const ui = buildControls(run);
  el.append(ui.root);
  let [strips, box, frame, alive] = [[], null, 0, true];

  const nearest = (epoch) => meta.epochs.reduce((best, e, i) =>
    (Math.abs(e - epoch) < Math.abs(meta.epochs[best] - epoch) ? i : best), 0);
  const place = () => ({ e: nearest(model.get("epoch")),
    q: Math.max(meta.queries.findIndex((q) => q.id === model.get("query")), 0) });
  const put = (name, value) => { if (model.get(name) !== value) { model.set(name, value); model.save_changes(); } };

  function describe(e, query, items) {
    const answer = items.find((item) => item.role === "chosen");
    const score = answer && !Number.isNaN(answer.score) ? ` · IoU ${answer.score.toFixed(2)}` : "";
    const words = `epoch ${meta.epochs[e]}${meta.epochs[e] ? "" : " (before training)"} · “${query.sentence}”${score}`;
    if (ui.label.textContent !== words) ui.label.textContent = words;
    ui.at.textContent = `epoch ${meta.epochs[e]} / ${meta.epochs.at(-1)}`;
    ui.slider.value = e;
    ui.slider.setAttribute("aria-valuetext", `epoch ${meta.epochs[e]}`);
    ui.query.value = query.id;
    ui.canvas.setAttribute("aria-label", `Film strip, ground truth and proposals: ${words}`);
    if (ui.pick.options.length !== items.length + 1) {
      ui.pick.replaceChildren(make("option", { value: -1 }, "proposal …"),
        ...items.map((item) => make("option", { value: item.k }, item.name)));
    }
    const selected = items.find((item) => item.k === model.get("selected"));
    ui.pick.value = selected ? selected.k : -1;
    ui.detail.textContent = selected ? numbersOf(selected, query) : "Click a curve, or choose a proposal, to read its numbers.";
  }

  function draw() {
    if (!alive) return;
    const { e, q } = place();
    const query = meta.queries[q];
    const items = proposalsAt(run, e, q);
    const look = theme(ui.root, meta.roles);
    ui.root.style.cssText = look.dark
      ? `color-scheme: dark; --vk-accent: ${look.colors.positive}` : `color-scheme: light; --vk-accent: ${look.colors.chosen}`;
    box = layOut(Math.max(ui.root.clientWidth || 760, 320), meta.strips ? meta.strips.videos[query.video] : null, run);
    const scale = window.devicePixelRatio || 1;
    ui.canvas.width = Math.round(box.width * scale);
    ui.canvas.height = Math.round(box.total * scale);
    ui.canvas.style.height = `${box.total}px`;
    const ctx = ui.canvas.getContext("2d");
    ctx.scale(scale, scale);
    if (strips[query.video]) drawStrip(ctx, look, box, strips[query.video]);
    drawTruth(ctx, look, box, query);
    drawAxis(ctx, look, box, query.duration);
    drawLanes(ctx, look, box, items, meta.roles, model.get("selected"));
    meta.curves.forEach((_, c) => drawPanel(ctx, look, box, run, c, meta.epochs[e]));
    describe(e, query, items);
    ui.canvas.dataset.draws = Number(ui.canvas.dataset.draws) + 1;
    ui.canvas.dataset.epoch = meta.epochs[e];
    ui.canvas.dataset.query = query.id;
  }

  function stop() {
    cancelAnimationFrame(frame);
    frame = 0;
    ui.play.textContent = "▶ Play";
    ui.label.setAttribute("aria-live", "polite");
  }

  function start() {
    if (place().e === meta.epochs.length - 1) put("epoch", meta.epochs[0]);
    ui.play.textContent = "❚❚ Pause";
    ui.label.setAttribute("aria-live", "off");
    let last = performance.now();
    const tick = (now) => {
      if (now - last >= 1000 / Number(ui.speed.value)) {
        last = now;
        put("epoch", meta.epochs[Math.min(place().e + 1, meta.epochs.length - 1)]);
      }
      if (place().e === meta.epochs.length - 1) stop();
      else frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
  }

  function click(event) {
    const [px, py] = [event.offsetX, event.offsetY];
    const fraction = (px - box.left) / box.inner;
    const { e, q } = place();
    if (py >= box.panels - 4) {
      const panel = meta.curves.map((_, c) => panelBox(box, run, c)).find((p) => px >= p.x && px <= p.x + p.w);
      const [first, last] = [run.arrays.curve_epochs[0], run.arrays.curve_epochs.at(-1)];
      if (panel) put("epoch", meta.epochs[nearest(first + ((px - panel.x) / panel.w) * (last - first))]);
      return;
    }
    const far = (item) => Math.abs(box.base + (item.negative ? box.down : -box.up) * height(item, fraction) - py);
    const hits = proposalsAt(run, e, q).filter((item) => height(item, fraction) > 0.02 && far(item) < 12);
    put("selected", hits.length ? hits.reduce((a, b) => (far(b) < far(a) ? b : a)).k : -1);
  }

  ui.slider.addEventListener("input", () => { stop(); put("epoch", meta.epochs[Number(ui.slider.value)]); });
  ui.play.addEventListener("click", () => (frame ? stop() : start()));
  ui.query.addEventListener("change", () => put("query", ui.query.value));
  ui.pick.addEventListener("change", () => put("selected", Number(ui.pick.value)));
  ui.canvas.addEventListener("click", click);
  const watched = ["change:epoch", "change:query", "change:selected"];
  watched.forEach((name) => model.on(name, draw));
  const sizes = new ResizeObserver(() => ui.root.clientWidth !== box?.width && draw());
  sizes.observe(ui.root);
  const themes = new MutationObserver(draw);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", draw);
  draw();
  decodeStrips(run).then((done) => { strips = done; ui.canvas.dataset.ready = "true"; draw(); });

  return () => {
    alive = false;
    stop();
    sizes.disconnect();
    themes.disconnect();
    scheme.removeEventListener("change", draw);
    watched.forEach((name) => model.off(name, draw));
    strips.forEach((strip) => strip?.picture?.close());
    ui.root.remove();
  };
}

export default { render };
