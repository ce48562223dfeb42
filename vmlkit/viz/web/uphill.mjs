// The playground "negatives on the CE curve": two pictures of one sentence under one clock, and their numbers.

const HEADS = ["", "overlap, own moment", "overlap, others'", "CE − CE(answer)", "within γ"];

function readout() {
  const cells = {};
  const row = (name) => {
    cells[name] = HEADS.map((_, i) => make(i ? "td" : "th", i ? {} : { scope: "row" }));
    return make("tr", {}, ...cells[name]);
  };
  const head = make("tr", {}, ...HEADS.map((words) => make("th", { scope: "col" }, words)));
  const node = make("table", { class: "readout" }, make("thead", {}, head),
    make("tbody", {}, ...["free", "network", "free, all", "network, all"].map(row)));
  return { node, write: (name, words) => words.forEach((w, i) => { cells[name][i].textContent = w; }) };
}

// a list of sentences in two groups: those that do as P0 hopes when the page opens, and those that do not
function sentenceMenu(model, sentences) {
  const list = make("select", { class: "query", "aria-label": "sentence" });
  for (const [title, behaves] of [["free negatives go away, then come back", true], ["failures: they do not", false]]) {
    const mine = sentences.map((s, i) => [s, i]).filter(([s]) => s.behaves === behaves);
    if (mine.length) list.append(make("optgroup", { label: title },
      ...mine.map(([s, i]) => make("option", { value: i }, `${behaves ? "" : "failure: "}“${s.sentence}”`))));
  }
  list.addEventListener("change", () => put(model, "sentence", Number(list.value)));
  return list;
}

function render({ model, el }) {
  const record = model.get("record");
  const { sentences, networks, widths, epochs } = record;
  const get = (name) => model.get(name);
  const ui = {
    play: make("button", { type: "button", class: "play", "aria-pressed": "false" }, "▶ Play"),
    speed: { value: 6 },
    slider: make("input", { type: "range", min: 0, max: epochs, step: 1, class: "epoch", "aria-label": "epoch", title: "arrow keys: epoch; space: play" }),
    at: make("span", { class: "at" }),
    label: make("p", { class: "label", role: "status", "aria-live": "polite" }),
  };
  const menu = sentenceMenu(model, sentences);
  const beside = make("select", { class: "network", "aria-label": "network" }, ...networks.map((n, i) => make("option", { value: i }, n.name)));
  beside.addEventListener("change", () => put(model, "network", Number(beside.value)));
  const dials = [
    dial(model, "alpha", { label: "α, shape", min: 0, max: 5, step: 0.1, format: (v) => number(v, 1) }),
    dial(model, "beta", { label: "β, offset", min: 0, max: 1, step: 0.05 }),
    dial(model, "margin", { label: "γ, margin", min: 0, max: 0.6, step: 0.05 }),
    dial(model, "width", { label: "width", min: 0, max: widths.length - 1, step: 1, format: (i) => `${Math.round(100 * widths[i])} %` }),
  ];
  const sheets = ["free", "network"].map((name) => new Sheet({ class: `stage ${name}` }));
  const numbers = readout();
  const note = make("p", { class: "note" });
  const root = make("div", { class: "vmlkit-live vmlkit-uphill two" }, make("div", { class: "row" }, ui.play, ui.slider, ui.at),
    make("div", { class: "row" }, menu, beside), make("div", { class: "dials" }, ...dials.map((d) => d.node)), ui.label,
    make("div", { class: "stages" }, ...sheets.map((s) => s.canvas)), numbers.node, note);
  el.append(root);
  const pictures = new Map();
  const memory = new Map();
  const once = (key, compute) => {
    if (!memory.has(key)) { if (memory.size > 200) memory.clear(); memory.set(key, compute()); }
    return memory.get(key);
  };

  const curveOf = (n, s) => networks[n].ce[s][get("width")];
  const width = () => widths[get("width")];
  const freePath = (n, s) => once(["free", n, s, get("width"), get("alpha"), get("beta")].join(), () =>
    roll(curveOf(n, s), record, get("alpha"), get("beta")).map((centers, e) =>
      ({ share: e / epochs, centers, widths: centers.map(width) })));
  const networkPath = (n, s) => once(["network", n, s].join(), () => networks[n].epochs.map((e, i) =>
    ({ share: e / networks[n].epochs.at(-1), centers: networks[n].centers[s][i], widths: networks[n].widths[s][i] })));
  const tell = (spot, n, s) => numbersAt(spot, curveOf(n, s), networks[n].answer[s], sentences[s], sentences, get("margin"));
  const spotAt = (kind, n, s, share) => (kind === "free" ? freePath(n, s)[Math.round(share * epochs)] : recordedAt(networks[n], s, share));

  // start, last epoch with c < 0, end: means over the sentences of the menu
  const overall = (kind, n, turn) => once(["all", kind, n, turn, get("width"), get("alpha"), get("beta"), get("margin")].join(), () =>
    [0, turn, 1].map((share) => {
      const told = sentences.map((_, s) => tell(spotAt(kind, n, s, share), n, s));
      return Object.fromEntries(["own", "others", "gap"].map((name) => [name, mean(told.map((t) => t[name]))]));
    }));

  function drawOne(look, sheet, kind, { n, s, share, turn, full }) {
    const easy = share <= turn + 1e-9;
    const direction = share === 0 ? "not trained yet" : easy ? "c < 0: uphill ↑" : "c > 0: downhill ↓";
    const picture = pictures.get(s);
    const box = layRolling(full, framesOf(picture));
    sheet.fit(full, box.total);
    sheet.canvas.style.width = `${full}px`;
    const [curve, answer] = [curveOf(n, s), networks[n].answer[s]];
    const [low, high] = [Math.min(...curve, answer[2]), Math.max(...curve, answer[2] + get("margin"))];
    const y = (v) => box.curve.bottom - ((v - low) / (high - low || 1)) * (box.curve.bottom - box.curve.top);
    const row = (part) => box.trail.top + part * (box.trail.bottom - box.trail.top);
    const title = kind === "free" ? "free: only P0 Eq. (3)" : `network: ${networks[n].name}`;
    const path = kind === "free" ? freePath(n, s) : networkPath(n, s);
    const gaps = path.map((p) => p.centers.map((c) => heightOn(curve, c) - answer[2]));
    const top = Math.max(...curve) - answer[2];
    const key = [full, look.dark, look.ground, kind, n, s, get("width"), get("margin"), turn, Boolean(picture)].join("|");
    const ctx = sheet.begin(key, (back) => drawScene(back, look, box,
      { sentence: sentences[s], curve, answer, margin: get("margin"), turn, picture, y, row }));
    const now = spotAt(kind, n, s, share);
    const told = tell(now, n, s);
    drawTrails(ctx, look, box, { path, gaps, top, turn, row, share });
    drawBalls(ctx, look, box, { now, gaps: told.gaps, top, curve, y, easy, title, direction });
    sheet.drawn({ centers: now.centers.map((c) => c.toFixed(6)).join(" "), own: told.own.toFixed(6), others: told.others.toFixed(6) });
    return told;
  }

  function draw(look) {
    look.stops = record.hardness[look.dark ? "dark" : "light"];
    const [n, s] = [clamp(get("network"), 0, networks.length - 1), clamp(get("sentence"), 0, sentences.length - 1)];
    const epoch = clamp(Math.round(get("epoch")), 0, epochs);
    const [share, c] = [epoch / epochs, signAt(epoch, epochs, get("alpha"), get("beta"))];
    const [turn, recorded] = [turnOf(epochs, get("alpha"), get("beta")) / epochs, networks[n].turn];
    const room = root.clientWidth || 760;
    const full = room >= 720 ? Math.floor((room - 16) / 2) : room;
    const told = ["free", "network"].map((kind, i) => drawOne(look, sheets[i], kind,
      { n, s, share, full, turn: i ? recorded : turn }));
    const own = [0, turn, 1].map((part) => tell(spotAt("free", n, s, part), n, s).own);
    const fits = turn > 0 && own[1] < own[0] && own[2] > own[1];
    ui.label.textContent = `epoch ${epoch} of ${epochs} · c = ${epoch ? number(c) : "–"} · free negatives of this sentence: `
      + `overlap ${own.map((v) => number(v)).join(" → ")}, ${fits ? "away and back" : "a failure"}`;
    ui.at.textContent = `epoch ${epoch} / ${epochs}`;
    ui.slider.value = epoch;
    ui.slider.setAttribute("aria-valuetext", ui.at.textContent);
    [menu.value, beside.value] = [s, n];
    ["free", "network"].forEach((kind, i) => {
      const { own: mine, others, gap, within } = told[i];
      numbers.write(kind, [`${kind}, this sentence`, number(mine), number(others), number(gap), `${within} of ${networks[n].centers[s][0].length}`]);
      const all = overall(kind, n, i ? recorded : turn);
      numbers.write(`${kind}, all`, [`${kind}, all ${sentences.length}`, ...["own", "others", "gap"].map((name) => all.map((v) => number(v[name])).join(" → ")), ""]);
    });
    sheets.forEach((sheet, i) => sheet.canvas.setAttribute("aria-label",
      `CE of “${sentences[s].sentence}” by the center of a mask, with three ${i ? "negatives of the network" : "free negatives"}: ${ui.label.textContent}`));
  }

  const go = (e) => put(model, "epoch", clamp(e, 0, epochs));
  const film = player(ui, () => { go(get("epoch") + 1); return get("epoch") < epochs; });
  const toggle = () => {
    if (film.playing()) { film.stop(); return; }
    if (get("epoch") >= epochs) go(0);
    film.start();
  };
  ui.play.addEventListener("click", toggle);
  ui.slider.addEventListener("input", () => { film.stop(); go(Number(ui.slider.value)); });
  ui.slider.addEventListener("keydown", (event) => { if (event.key === " ") { event.preventDefault(); toggle(); } });
  note.textContent = record.note;
  const names = ["alpha", "beta", "margin", "epoch", "width", "sentence", "network"];
  const kept = keepDrawn({ model, root, roles: get("roles"), names, draw });
  sentences.forEach((sentence, s) => {
    if (!sentence.strip) return;
    const image = new Image();
    image.onload = () => { pictures.set(s, image); kept.redraw(); };
    image.src = sentence.strip;
  });
  sheets[0].canvas.dataset.ready = "true";
  return () => { film.stop(); dials.forEach((d) => d.stop()); kept.stop(); };
}
