// Overlap playground: IoU of a positive with the truth, IoN of a negative against both, as lengths on one line.
// The bars can be dragged: by their middle to move, by an end to stretch.

const LANES = [["truth", "truth", "ground truth G"], ["positive", "chosen", "positive P"], ["negative", "hard_negative", "negative N"]];

function overlapNumbers(model) {
  const [g, p, n] = LANES.map(([name]) => spanOf(model, name));
  const [both, union] = [lengthOf(shared(p, g)), Math.max(p[1], g[1]) - Math.min(p[0], g[0])];
  const inside = shared(p, n);
  const pieces = [[inside[0], Math.min(inside[1], g[0])], [Math.max(inside[0], g[1]), inside[1]]].filter((s) => lengthOf(s) > 0);
  const outside = pieces.reduce((sum, piece) => sum + lengthOf(piece), 0);
  return { g, p, n, both: shared(p, g), pieces, outside, shared: both, union: both > 0 ? union : lengthOf(p) + lengthOf(g),
    iou: both > 0 ? both / union : 0, ion: lengthOf(n) > 0 ? outside / lengthOf(n) : 0 };
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
  let place = null;

  function draw(look) {
    LANES.forEach(([name]) => straighten(model, name));
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
    ctx.fillRect(x(now.g[0]), y(0), inner * lengthOf(now.g), 188);
    ctx.globalAlpha = 1;
    LANES.forEach(([name, role], i) => {
      const [start, end] = spanOf(model, name);
      ctx.fillStyle = name === "negative" ? hatch(ctx, look, look.colors[role], false) : look.colors[role];
      ctx.fillRect(x(start), y(i), Math.max(inner * (end - start), 1.5), 24);
      ctx.strokeStyle = look.colors[role];
      ctx.lineWidth = 2;
      ctx.strokeRect(x(start), y(i), Math.max(inner * (end - start), 1.5), 24);
    });
    ctx.fillStyle = look.colors.positive;
    ctx.fillRect(x(now.both[0]), y(3), inner * lengthOf(now.both), 16);
    ctx.fillStyle = look.colors.hard_negative;
    for (const [start, end] of now.pieces) ctx.fillRect(x(start), y(3) + 28, inner * (end - start), 16);
    label.textContent = `IoU = ${number(now.shared)} / ${number(now.union)} = ${number(now.iou)} · `
      + `IoN = ${number(now.outside)} / ${number(lengthOf(now.n))} = ${number(now.ion)}`;
    sheet.canvas.setAttribute("aria-label", `Three intervals: ${label.textContent}`);
    sheet.drawn();
  }

  const at = (event) => clamp((event.offsetX - place.left) / place.inner, 0, 1);
  const find = (event) => {
    const lane = LANES.findIndex((_, i) => event.offsetY >= place.y(i) - 4 && event.offsetY <= place.y(i) + 28);
    if (lane < 0) return null;
    const [start, end] = spanOf(model, LANES[lane][0]);
    return { name: LANES[lane][0], start, end, low: 0, high: 1, near: 10 / place.inner };
  };
  const round = (v) => Math.round(clamp(v, 0, 1) * 100) / 100;
  dragSpans(sheet.canvas, { at, find, move: (name, start, end) => putSpan(model, name, round(start), round(end)) });

  const kept = keepDrawn({ model, root, roles, names, draw });
  sheet.canvas.dataset.ready = "true";
  return () => { dials.forEach((d) => d.stop()); kept.stop(); };
}
