// Draw your own moment on the film strip: drag it, or its ends, and read IoU with the truth and IoN against an answer.

const LANES = [["truth", "truth", "ground truth"], ["answer", "positive", "answer"], ["yours", "chosen", "yours"]];

function momentNumbers(model) {
  const [g, p, n] = LANES.map(([name]) => spanOf(model, name));
  const common = shared(p, n);
  const outside = lengthOf(common) - lengthOf(shared(common, g));
  return { iou: iouOf(n, g), ion: lengthOf(n) > 0 ? outside / lengthOf(n) : 0 };
}

function render({ model, el }) {
  const roles = model.get("roles");
  const duration = model.get("duration");
  const dials = ["start", "end"].map((edge) =>
    dial(model, `yours_${edge}`, { label: `your ${edge}`, min: 0, max: duration, step: 0.1, format: (v) => `${number(v, 1)} s` }));
  const picture = make("img", { class: "strip", src: model.get("strip"), alt: "Pictures of the video over its length" });
  const sheet = new Sheet({ class: "stage" });
  const label = make("p", { class: "label", role: "status" });
  const title = make("p", {}, `“${model.get("sentence")}”`);
  const root = make("div", { class: "vmlkit-live vmlkit-moment" }, title, picture, sheet.canvas, label,
    make("div", { class: "dials" }, ...dials.map((d) => d.node)));
  el.append(root);
  let place = null;

  function draw(look) {
    straighten(model, "yours");
    const width = widthOf(root);
    const [left, inner] = [96, width - 108];
    place = { left, inner };
    picture.style.marginLeft = `${left}px`;
    picture.style.width = `${inner}px`;
    sheet.fit(width, 112);
    const x = (s) => left + (inner * s) / duration;
    const y = (lane) => 4 + 28 * lane;
    const ctx = sheet.begin(`${width}${look.dark}${look.ground}`, (back) => {
      LANES.forEach(([, role, words], i) => text(back, look, words, left - 8, y(i) + 11, { align: "right", color: look.words[role] }));
      back.strokeStyle = look.faint;
      line(back, left, 90.5, left + inner, 90.5);
      const step = niceStep(duration, inner / 80);
      for (let s = 0; s <= duration; s += step) text(back, look, String(+s.toFixed(2)), x(s), 102, { align: "center", color: look.faint, size: 11 });
    });
    LANES.forEach(([name, role], i) => {
      const [start, end] = spanOf(model, name);
      ctx.fillStyle = ctx.strokeStyle = look.colors[role];
      ctx.globalAlpha = name === "yours" ? 0.9 : 0.6;
      ctx.fillRect(x(start), y(i), Math.max(x(end) - x(start), 2), 22);
      ctx.globalAlpha = 1;
    });
    const { iou, ion } = momentNumbers(model);
    const [start, end] = spanOf(model, "yours");
    label.textContent = `yours: ${number(start, 1)}–${number(end, 1)} s · IoU with the truth ${number(iou)} · `
      + `IoN, the share of yours inside the answer and outside the truth, ${number(ion)}`;
    sheet.canvas.setAttribute("aria-label", label.textContent);
    sheet.drawn();
  }

  const at = (event) => clamp((event.offsetX - place.left) / place.inner, 0, 1) * duration;
  const round = (v) => Math.round(clamp(v, 0, duration) * 10) / 10;
  const find = () => {
    const [start, end] = spanOf(model, "yours");
    return { start, end, low: 0, high: duration, near: (8 * duration) / place.inner, fresh: true };
  };
  dragSpans(sheet.canvas, { at, find, move: (_, start, end) => putSpan(model, "yours", round(start), round(end)) });

  const names = LANES.flatMap(([name]) => [`${name}_start`, `${name}_end`]);
  const kept = keepDrawn({ model, root, roles, names, draw });
  sheet.canvas.dataset.ready = "true";
  return () => { dials.forEach((d) => d.stop()); kept.stop(); };
}
