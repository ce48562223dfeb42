// The epoch scrubber: one run at one epoch, or two side by side at one share of training, and one query.

const TRAIL = 5;  // epochs before the shown one that a trail has

function render({ model, el }) {
  const record = decode(model);
  const { meta, runs, epochs, shares } = record;
  const lead = runs.indexOf(record.lead);
  const ui = buildControls(record);
  const stages = runs.map(() => new Sheet({ class: "stage" }));
  const panels = new Sheet({ class: "panels" });
  const curves = [...new Map(runs.flatMap((run) => run.curves).map((c) => [c.name, c])).values()];
  const signals = [...new Map(runs.flatMap((run) => run.signals).map((s) => [s.name, s])).values()];
  const chooseCurves = chooser("curves", grouped(curves), (names) => put(model, "curves", names));
  const chooseSignals = chooser("signals", [["per clip", signals]], (names) => put(model, "signals", names));
  const queries = queryPicker(meta.queries, (id) => put(model, "query", id));
  queries.node.append(ui.pick);
  const table = queryTable(record, (id) => put(model, "query", id));
  const movie = filmPlayer(meta.films ?? {}, () => kept.redraw());
  const root = make("div", { class: "vmlkit-live vmlkit-scrubber" },
    make("div", { class: "row" }, ui.play, ui.speed, ui.slider, ui.at, ui.trailLabel, ui.boxesLabel), queries.node, ui.label, movie.node,
    make("div", { class: "stages" }, ...stages.map((sheet) => sheet.canvas)), ui.legend.node, ...ui.following, panels.canvas,
    make("div", { class: "row choices" }, chooseCurves.node, chooseSignals.node, table.node), ui.detail, ui.note);
  root.classList.toggle("two", runs.length > 1);
  el.append(root);
  let strips = [];
  let [boxes, layout, scales, shownItems, panelKey] = [[], null, [], [], ""];
  let share = 0;  // of the way to the next epoch, while it plays: for the drawing only

  const state = () => {
    const epoch = epochs[nearest(epochs, model.get("epoch"))];
    const q = Math.max(meta.queries.findIndex((query) => query.id === model.get("query")), 0);
    return { epoch, q, query: meta.queries[q], at: runs.map((run) => alongside(record, run, epoch)) };
  };
  // `selected` counts the proposals of the first run; the other follows by name
  const selectedName = () => {
    const k = model.get("selected");
    const { positives: P } = runs[0].counts;
    return k < 0 ? "" : k < P ? `positive ${k + 1}` : `negative ${k - P + 1}`;
  };
  const select = (item) => {
    const [kind, n] = item ? item.name.split(" ") : ["", 0];
    const k = !item ? -1 : kind === "positive" ? n - 1 : runs[0].counts.positives + Number(n) - 1;
    put(model, "selected", k < runs[0].K ? k : -1);
  };

  function drawStage(r, look, { epoch, q, query, at }) {
    const [run, sheet, strip] = [runs[r], stages[r], strips[query.video]];
    const room = widthOf(root);
    const width = runs.length > 1 && room >= 720 ? Math.floor((room - 16) / 2) : room;
    const lines = model.get("signals").map((name) => run.signals.find((s) => s.name === name)).filter(Boolean);
    const some = model.get("signals").some((name) => runs.some((other) => other.signals.some((s) => s.name === name)));
    const stripBox = meta.strips ? meta.strips.videos[query.video] : null;
    const box = layStage(width, stripBox, run, some, runs.length > 1, model.get("boxes"));
    sheet.fit(width, box.total);
    sheet.canvas.style.width = `${width}px`;
    const e = run.epochs[at[r]];
    const title = runs.length > 1 ? run.name + (shares ? ` (epoch ${e} of ${run.planned})` : e === epoch ? "" : ` (epoch ${e})`) : "";
    const key = [query.id, width, look.dark, look.ground, Boolean(strip), some, title, model.get("boxes")].join("|");
    const top = box.side ? box.traces : box.cap - 14;
    const ctx = sheet.begin(key, (back) => drawGround(back, look, box, strip, query, run, title, r ? [5, 3] : []), top);
    if (some) drawSignals(ctx, look, box, run, at[r], q, lines);
    const items = proposalsAt(run, at[r], q);
    const next = share && run.steady ? alongside(record, run, epochs[epochs.indexOf(epoch) + 1] ?? epoch) : at[r];
    const ghosts = Array.from({ length: model.get("trail") && run.steady ? Math.min(TRAIL, at[r]) : 0 }, (_, age) =>
      proposalsAt(run, at[r] - 1 - age, q));
    drawTrail(ctx, look, box, ghosts);
    drawLanes(ctx, look, box, next === at[r] ? items : between(items, proposalsAt(run, next, q), share), meta.roles, selectedName());
    if (model.get("boxes")) drawBoxes(ctx, look, box, items);
    drawPlayhead(ctx, look, box, query.duration, movie.time());
    boxes[r] = box;
    return items;
  }

  function drawPanels(look, { epoch, at }) {
    const names = model.get("curves").filter((name) => curves.some((c) => c.name === name));
    const key = [root.clientWidth, look.dark, look.ground, ...names].join("|");
    if (key !== panelKey) {
      layout = layPanels(widthOf(root), names.length);
      scales = names.map((name, i) => panelScale(runs, name, layout.boxes[i], shares));
      panelKey = key;
    }
    panels.canvas.hidden = !names.length;
    const shown = runs.map((run, r) => run.epochs[at[r]]);
    if (!names.length) return;
    panels.fit(widthOf(root), layout.total);
    const title = (name) => curves.find((c) => c.name === name).title;
    const ctx = panels.begin(key, (back) =>
      names.forEach((name, i) => drawPanel(back, look, layout.boxes[i], scales[i], title(name))));
    scales.forEach((scale, i) => drawCursor(ctx, look, layout.boxes[i], scale, lead, shown));
    panels.drawn({ epoch });
  }

  const write = (node, words) => { if (node.textContent !== words) node.textContent = words; };

  function describe({ epoch, query, at }) {
    const scores = shownItems.flatMap((items, r) => {
      const said = scoreWords(items).join(", ");
      return said ? [runs.length > 1 ? `${runs[r].name}: ${said}` : said.replace(", ", " · ")] : [];
    });
    const percent = `${Math.round((100 * epoch) / record.lead.planned)} %`;
    const when = shares && epoch ? `${percent} of the training` : `epoch ${epoch}${epoch ? "" : " (before training)"}`;
    const words = [when, `“${query.sentence}”`, ...scores].join(" · ");
    write(ui.label, words);
    write(ui.at, shares ? percent : `epoch ${epoch} / ${epochs.at(-1)}`);
    ui.slider.value = epochs.indexOf(epoch);
    ui.slider.setAttribute("aria-valuetext", when);
    for (const name of ["trail", "boxes"]) ui[name].checked = model.get(name);
    ui.following.forEach((node, r) => {
      const said = runs[r].following[at[r]];
      write(node, said && runs.length > 1 ? `${runs[r].name}: ${said}` : said);
      node.hidden = !said;
    });
    queries.show(query.id);
    table.show(query.id);
    chooseCurves.show(model.get("curves"));
    chooseSignals.show(model.get("signals"));
    const names = [...new Set(shownItems.flat().map((item) => item.name))];
    if (ui.pick.options.length !== names.length + 1) {
      ui.pick.replaceChildren(make("option", { value: "" }, "proposal …"), ...names.map((n) => make("option", { value: n }, n)));
    }
    const name = selectedName();
    ui.pick.value = names.includes(name) ? name : "";
    const found = shownItems.map((items) => items.find((item) => item.name === name));
    const details = found.flatMap((item, r) =>
      (item ? [(runs.length > 1 ? `${runs[r].name}: ` : "") + numbersOf(item, query)] : []));
    write(ui.detail, details.length ? details.join("   |   ") : "Click a curve, or choose a proposal, to read its numbers.");
    stages.forEach((sheet, r) => {
      const whose = runs.length > 1 ? ` of ${runs[r].name}` : "";
      const listed = model.get("boxes") ? ` · best predictions: ${boxWords(shownItems[r], query)}` : "";
      sheet.canvas.setAttribute("aria-label", `Film strip, ground truth and proposals${whose}: ${words}${listed}`);
    });
    panels.canvas.setAttribute("aria-label", `Curves over epochs, cursor at ${when}`);
  }

  function draw(theme) {
    const look = { ...theme, stops: meta.hardness?.stops[theme.dark ? "dark" : "light"] };
    ui.legend.paint(theme.dark);
    const now = state();
    movie.show(now.query.video);
    shownItems = runs.map((_, r) => drawStage(r, look, now));
    drawPanels(look, now);
    describe(now);
    stages.forEach((sheet) => sheet.drawn({ epoch: now.epoch, query: now.query.id }));
  }

  const last = epochs.length - 1;
  const go = (i) => put(model, "epoch", epochs[clamp(i, 0, last)]);
  const here = () => epochs.indexOf(state().epoch);
  const film = player(ui, () => { share = 0; go(here() + 1); return here() < last; },
    (part) => { share = part; kept.redraw(); });
  const toggle = () => {
    if (film.playing()) { film.stop(); return; }
    if (here() === last) go(0);
    film.start();
  };
  ui.slider.addEventListener("input", () => { film.stop(); go(Number(ui.slider.value)); });
  ui.slider.addEventListener("keydown", (event) => {
    const act = { " ": toggle, t: () => ui.trail.click(), b: () => ui.boxes.click(), n: () => queries.move(1), p: () => queries.move(-1) }[event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  });
  ui.play.addEventListener("click", toggle);
  for (const name of ["trail", "boxes"]) ui[name].addEventListener("change", () => put(model, name, ui[name].checked));
  ui.pick.addEventListener("change", () => select(shownItems.flat().find((item) => item.name === ui.pick.value)));
  stages.forEach((sheet, r) => sheet.canvas.addEventListener("click", (event) =>
    select(proposalNear(boxes[r], shownItems[r], event.offsetX, event.offsetY))));
  stages.forEach((sheet, r) => sheet.canvas.addEventListener("click", (event) => {
    const second = secondAt(boxes[r], state().query.duration, event.offsetX, event.offsetY);
    if (second !== null) movie.seek(second);
  }));
  panels.canvas.addEventListener("click", (event) => {
    const epoch = epochAt(layout, scales, lead, event.offsetX, event.offsetY);
    if (epoch !== null) { film.stop(); go(nearest(epochs, epoch)); }
  });

  const kept = keepDrawn({ model, root, roles: meta.roles, names: ["epoch", "query", "selected", "curves", "signals", "trail", "boxes"], draw });
  decodeStrips(record).then((done) => { strips = done; stages[0].canvas.dataset.ready = "true"; kept.redraw(); });
  return () => {
    film.stop();
    movie.stop();
    kept.stop();
    strips.forEach((strip) => strip?.picture?.close());
  };
}
