// Gaussian playground: a proposal's weights on the grid, and what attention makes of them in the two forms.

function weightsOf(center, width, sigma, cells) {
  const places = Array.from({ length: cells }, (_, i) => (cells > 1 ? i / (cells - 1) : 0));
  const nearestCell = Math.min(...places.map((x) => (x - center) ** 2));
  const deviation = Math.max(width, 0.01) / sigma;
  return places.map((x) => Math.exp(-((x - center) ** 2 - nearestCell) / (2 * deviation ** 2)));
}

function attentionOf(scores, weights, form) {
  return scores.map((row) => {
    const logits = row.map((a, j) => (form === "logit" ? a * weights[j] : a + Math.log(weights[j] + 1e-10)));
    const top = Math.max(...logits);
    const powers = logits.map((a) => Math.exp(a - top));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((p) => p / sum);
  });
}

function drawMap(ctx, look, box, map, most) {
  const [w, h] = [box.w / map[0].length, box.h / map.length];
  ctx.fillStyle = look.colors.attention;
  map.forEach((row, i) => row.forEach((value, j) => {
    ctx.globalAlpha = clamp(value / most, 0, 1);
    ctx.fillRect(box.x + j * w, box.y + i * h, w - 0.5, h - 0.5);
  }));
  ctx.globalAlpha = 1;
  ctx.strokeStyle = look.line;
  ctx.lineWidth = 1;
  ctx.strokeRect(box.x + 0.5, box.y + 0.5, box.w - 1, box.h - 1);
}

function render({ model, el }) {
  const [scores, cells, roles] = [model.get("scores"), model.get("cells"), model.get("roles")];
  const dials = [
    dial(model, "center", { label: "center c", min: 0, max: 1, step: 0.01 }),
    dial(model, "width", { label: "width w", min: 0.02, max: 1, step: 0.01 }),
    dial(model, "sigma", { label: "sharpness σ", min: 1, max: 12, step: 0.5, format: (v) => number(v, 1) }),
  ];
  const sheet = new Sheet({ class: "stage" });
  const label = make("p", { class: "label", role: "status" });
  const root = make("div", { class: "vmlkit-live vmlkit-gaussian" },
    make("div", { class: "dials" }, ...dials.map((d) => d.node)), label, sheet.canvas);
  el.append(root);

  function draw(look) {
    const [center, width, sigma] = ["center", "width", "sigma"].map((name) => model.get(name));
    const weights = weightsOf(center, width, sigma, cells);
    const full = widthOf(root);
    const [left, inner, top, base] = [84, full - 100, 26, 128];
    sheet.fit(full, 330);
    const ctx = sheet.begin(`${full}${look.dark}${look.ground}`, (back) => {
      back.strokeStyle = look.faint;
      line(back, left, base + 0.5, left + inner, base + 0.5);
      for (const t of [0, 0.25, 0.5, 0.75, 1]) text(back, look, String(t), left + inner * t, base + 12, { align: "center", color: look.faint, size: 11 });
      text(back, look, "weight g", left - 10, (top + base) / 2, { align: "right", color: look.words.chosen });
      text(back, look, "span", left - 10, base + 30, { align: "right", color: look.words.chosen });
      text(back, look, "attention", left - 10, 248, { align: "right", color: look.words.attention });
    });
    const x = (t) => left + inner * t;
    ctx.fillStyle = look.colors.positive;
    weights.forEach((g, i) => ctx.fillRect(x(i / (cells - 1)) - 3, base - g * (base - top), 6, g * (base - top)));
    trace(ctx, Array.from({ length: 201 }, (_, i) => i / 200).map((t) =>
      [x(t), base - (base - top) * Math.exp(-0.5 * (((t - center) * sigma) / Math.max(width, 0.01)) ** 2)]));
    ctx.strokeStyle = look.colors.chosen;
    ctx.lineWidth = 2.4;
    ctx.stroke();
    const [start, end] = [Math.max(center - width / 2, 0), Math.min(center + width / 2, 1)];
    ctx.fillStyle = look.colors.chosen;
    ctx.fillRect(x(start), base + 27, x(end) - x(start), 6);

    const forms = [["prob", "mask on probabilities (code)"], ["logit", "mask on scores (paper)"]];
    const maps = forms.map(([form]) => attentionOf(scores, weights, form));
    const most = Math.max(...maps.flat(2));
    const room = (inner - 24) / 2;
    const outside = maps.map((map) => map.reduce((sum, row) =>
      sum + row.reduce((a, p, j) => a + (weights[j] < 0.01 ? p : 0), 0), 0) / map.length);
    maps.forEach((map, i) => {
      const box = { x: left + i * (room + 24), y: 206, w: room, h: 100 };
      text(ctx, look, forms[i][1], box.x, 192, { color: look.faint, room: room - 90 });
      text(ctx, look, `outside ${number(outside[i])}`, box.x + room, 192, { align: "right", bold: true });
      drawMap(ctx, look, box, map, most);
    });
    const edge = Math.exp(-0.5 * (sigma / 2) ** 2);
    label.textContent = `weight at the edge of the span ${number(edge, 3)} · attention outside the mask (weight below 0.01): `
      + `${number(outside[0], 3)} on probabilities, ${number(outside[1], 3)} on scores`;
    sheet.canvas.setAttribute("aria-label", `Gaussian and attention maps: ${label.textContent}`);
    sheet.drawn();
  }

  const kept = keepDrawn({ model, root, roles, names: ["center", "width", "sigma"], draw });
  sheet.canvas.dataset.ready = "true";
  return () => { dials.forEach((d) => d.stop()); kept.stop(); };
}
