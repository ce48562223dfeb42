// What every live picture shares.  The files of this folder are joined into one module by vmlkit/viz/live.py; none of
// them loads anything.  Pictures are drawn on canvases, and their numbers stand in the page as text.

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const number = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits).replace("-", "−") : "–");
const same = (a, b) => (Array.isArray(a) ? a.length === b?.length && a.every((x, i) => x === b[i]) : a === b);

// pixels to draw at: what the page gives, down to the cell of a notebook on a telephone; before it is in one, a guess
const widthOf = (root) => Math.max(root.clientWidth || 760, 220);

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  // JupyterLab's shortcuts swallow arrow keys unless the focused element itself carries this attribute
  if (["BUTTON", "SELECT", "INPUT", "SUMMARY"].includes(node.tagName)) node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children);
  return node;
}

const put = (model, name, value) => { if (!same(model.get(name), value)) { model.set(name, value); model.save_changes(); } };

function theme(root, roles) {
  const css = getComputedStyle(root);
  const read = (name) => css.getPropertyValue(name).trim();
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = read("--vk-ground") || "#fff";
  const channels = probe.fillStyle.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(probe.fillStyle.slice(i, i + 2), 16)) : probe.fillStyle.match(/[\d.]+/g).map(Number);
  const dark = 0.3 * channels[0] + 0.59 * channels[1] + 0.11 * channels[2] < 128;
  const pick = (shade) => Object.fromEntries(Object.entries(roles).map(([name, role]) => [name, role[dark ? "dark" : shade]]));
  return { ground: read("--vk-ground"), ink: read("--vk-ink"), faint: read("--vk-faint"), line: read("--vk-line"),
    font: css.fontFamily, dark, colors: pick("light"), words: pick("text"), patterns: new Map() };
}

// A canvas that keeps what does not change from step to step as a picture of its own.
class Sheet {
  constructor(attributes = {}) {
    this.canvas = make("canvas", { role: "img", "data-draws": 0, ...attributes });
    this.back = document.createElement("canvas");
    this.key = null;
  }

  // size in CSS pixels; the store behind it follows the resolution of the screen
  fit(width, height) {
    const scale = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * scale), Math.round(height * scale)];
    if (this.canvas.width === w && this.canvas.height === h && this.scale === scale) return;
    for (const canvas of [this.canvas, this.back]) [canvas.width, canvas.height] = [w, h];
    this.canvas.style.height = `${height}px`;
    [this.scale, this.key] = [scale, null];
  }

  // draws the kept part again only where `key` is a new one; below `top` the rest is for the caller to draw
  begin(key, drawBack, top = 0) {
    const [ctx, back] = [this.canvas.getContext("2d"), this.back.getContext("2d")];
    let from = Math.floor(top * this.scale);
    if (key !== this.key) {
      back.setTransform(1, 0, 0, 1, 0, 0);
      back.clearRect(0, 0, this.back.width, this.back.height);
      back.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      drawBack(back);
      [this.key, from] = [key, 0];
    }
    const [w, h] = [this.canvas.width, this.canvas.height - from];
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, from, w, h);
    if (w > 0 && h > 0) ctx.drawImage(this.back, 0, from, w, h, 0, from, w, h);
    ctx.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    return ctx;
  }

  drawn(facts = {}) {
    Object.assign(this.canvas.dataset, facts, { draws: Number(this.canvas.dataset.draws) + 1 });
  }
}

function text(ctx, look, words, x, y, { align = "left", color = look.ink, size = 11.5, bold = false, halo = false, room } = {}) {
  ctx.font = `${bold ? "600 " : ""}${size}px ${look.font}`;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  if (halo) {
    const { lineJoin } = ctx; // given back: what is drawn next would have other corners than at the first time
    Object.assign(ctx, { strokeStyle: look.ground, lineWidth: 3, lineJoin: "round" }).strokeText(words, x, y);
    ctx.lineJoin = lineJoin;
  }
  ctx.fillStyle = color;
  ctx.fillText(words, x, y, room);
}

function trace(ctx, points) {
  ctx.beginPath();
  points.forEach(([x, y], i) => (i ? ctx.lineTo(x, y) : ctx.moveTo(x, y)));
}

function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

// dots where training pushes negatives away, strokes elsewhere: what the dash says, said once more
function hatch(ctx, look, color, dots) {
  const name = `${color}${dots}`;
  if (!look.patterns.has(name)) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const pen = tile.getContext("2d");
    pen.strokeStyle = pen.fillStyle = color;
    pen.globalAlpha = 0.55;
    if (dots) pen.fillRect(2, 2, 1.4, 1.4);
    else for (const shift of [-6, 0, 6]) line(pen, shift, 6, shift + 6, 0);
    look.patterns.set(name, ctx.createPattern(tile, "repeat"));
  }
  return look.patterns.get(name);
}

// the colour at 0 to 1 on evenly spaced stops ("#rrggbb"), in steps of 1/32 so that few hatches are made
function mixStops(stops, place) {
  const at = (Math.round(place * 32) / 32) * (stops.length - 1);
  const left = Math.min(Math.floor(at), stops.length - 2);
  const channels = [left, left + 1].map((i) => [1, 3, 5].map((k) => parseInt(stops[i].slice(k, k + 2), 16)));
  return `#${channels[0].map((low, k) => Math.round(low + (at - left) * (channels[1][k] - low)).toString(16).padStart(2, "0")).join("")}`;
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

// Calls draw(look) now, after changes of the model, and when the width or the theme changes; returns how to stop.
function keepDrawn({ model, root, roles, names, draw }) {
  let [look, width, alive, attached] = [theme(root, roles), -1, true, root.isConnected];
  const redraw = () => {
    if (!alive) return;
    // colours read outside the document are empty, and no observer reports a cell below the fold that gets its place
    if (!attached && root.isConnected) return restyle();
    width = root.clientWidth;
    draw(look);
  };
  const restyle = () => { attached = root.isConnected; look = theme(root, roles); dress(); redraw(); };
  const dress = () => {
    root.style.setProperty("color-scheme", look.dark ? "dark" : "light");
    root.style.setProperty("--vk-accent", look.dark ? look.colors.positive : look.colors.chosen);
    root.dataset.theme = look.dark ? "dark" : "light";
  };
  names.forEach((name) => model.on(`change:${name}`, redraw));
  // a live notebook renders before the element is in the document: width and colours are known only later
  const check = () => { if (alive && root.clientWidth !== width) restyle(); };
  const sizes = new ResizeObserver(check);
  sizes.observe(root);
  // while style sheets are exchanged the page may have another width for a moment, which no observer reports
  const settle = () => { restyle(); requestAnimationFrame(check); setTimeout(check, 400); };
  const themes = new MutationObserver(settle);
  themes.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"] });
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", settle);
  // a cell below the fold is put into the document later, and nothing else may ask for a drawing until it is seen
  const whenAttached = () => {
    if (alive && !attached) root.isConnected ? restyle() : requestAnimationFrame(whenAttached);
  };
  dress();
  redraw();
  whenAttached();
  return { redraw, stop: () => {
    alive = false;
    sizes.disconnect();
    themes.disconnect();
    scheme.removeEventListener("change", settle);
    names.forEach((name) => model.off(`change:${name}`, redraw));
    root.remove();
  } };
}

// a slider with its name and value in words; `format` says the value, and `refresh` says it anew
function dial(model, name, { label, min, max, step, format = (v) => number(v) }) {
  const input = make("input", { type: "range", min, max, step, "aria-label": label, class: name });
  const value = make("output", {});
  const show = () => {
    input.value = model.get(name);
    value.textContent = format(model.get(name));
    input.setAttribute("aria-valuetext", value.textContent);
  };
  input.addEventListener("input", () => put(model, name, Number(input.value)));
  model.on(`change:${name}`, show);
  show();
  return { node: make("label", { class: "dial" }, make("span", {}, label), input, value), refresh: show,
    stop: () => model.off(`change:${name}`, show) };
}
