// Schedule playground: c(e) = (e / e_max)^alpha - beta, where it changes sign, and in which epoch negatives turn hard.

function render({ model, el }) {
  const roles = model.get("roles");
  const dials = [
    dial(model, "alpha", { label: "α, shape", min: 0, max: 5, step: 0.1, format: (v) => number(v, 1) }),
    dial(model, "beta", { label: "β, offset", min: 0, max: 1, step: 0.05 }),
    dial(model, "epochs", { label: "epochs", min: 1, max: 100, step: 1, format: String }),
  ];
  const sheet = new Sheet({ class: "stage" });
  const label = make("p", { class: "label", role: "status" });
  const root = make("div", { class: "vmlkit-live vmlkit-schedule" },
    make("div", { class: "dials" }, ...dials.map((d) => d.node)), label, sheet.canvas);
  el.append(root);

  function draw(look) {
    const [alpha, beta, epochs] = ["alpha", "beta", "epochs"].map((name) => model.get(name));
    const c = (e) => (e / epochs) ** alpha - beta;
    const full = widthOf(root);
    const [left, inner, top, bottom] = [104, full - 124, 12, 212];
    sheet.fit(full, 246);
    const y = (v) => top + ((1 - v) * (bottom - top)) / 2;
    const x = (e) => left + (inner * (e - 0.5)) / epochs;
    const ctx = sheet.begin(`${full}${look.dark}${look.ground}`, (back) => {
      for (const v of [-1, -0.5, 0.5, 1]) text(back, look, number(v, 1), left - 8, y(v), { align: "right", color: look.faint, size: 11 });
      back.strokeStyle = look.faint;
      line(back, left, y(0) + 0.5, left + inner, y(0) + 0.5);
      text(back, look, "c > 0: hard", left - 8, y(0) - 14, { align: "right", color: look.words.hard_negative });
      text(back, look, "c < 0: easy", left - 8, y(0) + 14, { align: "right", color: look.words.easy_negative });
    });
    const [width, whole] = [inner / epochs, Array.from({ length: epochs }, (_, i) => i + 1)];
    for (const e of whole) {
      const [v, hard] = [c(e), c(e) > 1e-9];
      const color = look.colors[hard ? "hard_negative" : "easy_negative"];
      const at = x(e) - width * 0.4;
      ctx.fillStyle = hatch(ctx, look, color, !hard);
      ctx.fillRect(at, Math.min(y(v), y(0)), Math.max(width * 0.8, 1), Math.abs(y(v) - y(0)));
      ctx.fillStyle = color;
      ctx.fillRect(at, y(v) - 1, Math.max(width * 0.8, 1), 2);
    }
    const ticks = niceStep(Math.max(epochs, 2), 8);
    for (let e = ticks >= 1 ? ticks : 1; e <= epochs; e += Math.max(ticks, 1)) {
      text(ctx, look, String(e), x(e), bottom + 14, { align: "center", color: look.faint, size: 11 });
    }
    text(ctx, look, "epoch", left - 8, bottom + 14, { align: "right", color: look.faint, size: 11 });
    const turns = alpha > 0 && beta > 0 && beta <= 1 ? beta ** (1 / alpha) : null;
    if (turns !== null && turns * epochs >= 1) {
      ctx.strokeStyle = look.ink;
      ctx.lineWidth = 1;
      line(ctx, x(turns * epochs), top, x(turns * epochs), bottom);
    }
    const first = whole.find((e) => c(e) > 1e-9);
    label.textContent = `c(1) = ${number(c(1), 3)} · `
      + (turns === null ? "c keeps its sign" : `c is zero at ${number(turns, 3)} of the training`)
      + (first ? `, first above it in epoch ${first}` : ", never above it") + ` · c(${epochs}) = ${number(c(epochs), 3)}`;
    sheet.canvas.setAttribute("aria-label", `The sign of the negatives' loss by epoch: ${label.textContent}`);
    sheet.drawn();
  }

  const kept = keepDrawn({ model, root, roles, names: ["alpha", "beta", "epochs"], draw });
  sheet.canvas.dataset.ready = "true";
  return () => { dials.forEach((d) => d.stop()); kept.stop(); };
}
