// Overlap playground: IoU of a positive with the truth, IoN of a negative against both, as lengths on one line.
// The bars can be dragged: by their middle to move, by an end to stretch.

const LANES = [["truth", "truth", "ground truth G"], ["positive", "chosen", "positive P"], ["negative", "hard_negative", "negative N"]];

const span = (model, name) => [model.get(`${name}_start`), model.get(`${name}_end`)];
const size = ([start, end]) => Math.max(end - start, 0);
const common = (a, b) => [Math.max(a[0], b[0]), Math.max(Math.max(a[0], b[0]), Math.min(a[1], b[1]))];

function overlapNumbers(model) {
  const [g, p, n] = LANES.map(([name]) => span(model, name));
  const [both, union] = [size(common(p, g)), Math.max(p[1], g[1]) - Math.min(p[0], g[0])];
  const shared = common(p, n);
  const pieces = [[shared[0], Math.min(shared[1], g[0])], [Math.max(shared[0], g[1]), shared[1]]].filter((s) => size(s) > 0);
  const outside = pieces.reduce((sum, piece) => sum + size(piece), 0);
  return { g, p, n, both: common(p, g), pieces, outside, shared: both, union: both > 0 ? union : size(p) + size(g),
    iou: both > 0 ? both / union : 0, ion: size(n) > 0 ? outside / size(n) : 0 };
}

function render({ model, el }) {
  const roles = model.get("roles");
  const names = LANES.flatMap(([name]) => [`${name}_start`, `${name}_end`]);
  const dials = LANES.flatMap(([name, , title]) => ["start", "end"].map((edge) =>
    dial(model, `${name}_${edge}`, { label: `${title.split(" ").at(-1)} ${edge}`, min: 0, max: 1, step: 0.01 })));
  const sheet = new Sheet({ class: "stage" });
  const label = make("p", { class: "label", role: "status" });
  const root = make("div", { class: "vmlkit-live vmlkit-overlap" },
    make("div", { class: "dials" }, ...dials.map((d) => d.node)), label, sheet.canvas);
  el.append(root);
  sheet.canvas.style.touchAction = "none";
  let [place, held] = [null, null];

  // an end that passes the other takes it along
  const straighten = () => LANES.forEach(([name]) => {
    const [start, end] = span(model, name);
    if (start > end) put(model, `${name}_${held?.edge === "end" ? "start" : "end"}`, held?.edge === "end" ? end : start);
  });

  function draw(look) {
    straighten();
    const now = overlapNumbers(model);
    const full = widthOf(root);
    const [left, inner] = [120, full - 140];
    sheet.fit(full, 208);
    const y = (lane) => 12 + 38 * lane;
    const x = (t) => left + inner * t;
    place = { left, inner, y };
    const ctx = sheet.begin(`${full}${look.dark}${look.ground}`, (back) => {
      LANES.forEach(([, role, title], i) => text(back, look, title, left - 12, y(i) + 12, { align: "right", color: look.words[role] }));
      text(back, look, "P ∩ G, for IoU", left - 12, y(3) + 8, { align: "right", color: look.faint, size: 11 });
      text(back, look, "(P ∩ N) − G, for IoN", left - 12, y(3) + 36, { align: "right", color: look.faint, size: 11, room: left - 14 });
      back.strokeStyle = look.line;
      for (const t of [0, 1]) line(back, x(t), 4, x(t), 196);
    });
    ctx.fillStyle = look.colors.truth;
    ctx.globalAlpha = 0.14;
    ctx.fillRect(x(now.g[0]), y(0), inner * size(now.g), 188);
    ctx.globalAlpha = 1;
    LANES.forEach(([name, role], i) => {
      const [start, end] = span(model, name);
      ctx.fillStyle = name === "negative" ? hatch(ctx, look, look.colors[role], false) : look.colors[role];
      ctx.fillRect(x(start), y(i), Math.max(inner * (end - start), 1.5), 24);
      ctx.strokeStyle = look.colors[role];
      ctx.lineWidth = 2;
      ctx.strokeRect(x(start), y(i), Math.max(inner * (end - start), 1.5), 24);
    });
    ctx.fillStyle = look.colors.positive;
    ctx.fillRect(x(now.both[0]), y(3), inner * size(now.both), 16);
    ctx.fillStyle = look.colors.hard_negative;
    for (const [start, end] of now.pieces) ctx.fillRect(x(start), y(3) + 28, inner * (end - start), 16);
    label.textContent = `IoU = ${number(now.shared)} / ${number(now.union)} = ${number(now.iou)} · `
      + `IoN = ${number(now.outside)} / ${number(size(now.n))} = ${number(now.ion)}`;
    sheet.canvas.setAttribute("aria-label", `Three intervals: ${label.textContent}`);
    sheet.drawn();
  }

  const fraction = (event) => clamp((event.offsetX - place.left) / place.inner, 0, 1);
  sheet.canvas.addEventListener("pointerdown", (event) => {
    const lane = LANES.findIndex((_, i) => event.offsetY >= place.y(i) - 4 && event.offsetY <= place.y(i) + 28);
    if (lane < 0) return;
    const [name] = LANES[lane];
    const [[start, end], t] = [span(model, name), fraction(event)];
    const near = Math.min(10 / place.inner, (end - start) / 3);
    held = { name, from: t, start, end, edge: Math.abs(t - start) <= near ? "start" : Math.abs(t - end) <= near ? "end" : "both" };
    sheet.canvas.setPointerCapture(event.pointerId);
  });
  sheet.canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    const by = fraction(event) - held.from;
    const shift = held.edge === "both" ? clamp(by, -held.start, 1 - held.end) : by;
    const round = (v) => Math.round(clamp(v, 0, 1) * 100) / 100;
    if (held.edge !== "end") put(model, `${held.name}_start`, round(held.start + shift));
    if (held.edge !== "start") put(model, `${held.name}_end`, round(held.end + shift));
  });
  for (const name of ["pointerup", "pointercancel"]) sheet.canvas.addEventListener(name, () => { held = null; });

  const kept = keepDrawn({ model, root, roles, names, draw });
  sheet.canvas.dataset.ready = "true";
  return () => { dials.forEach((d) => d.stop()); kept.stop(); };
}
