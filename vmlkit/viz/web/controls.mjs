// The scrubber's controls: native elements, so that keys and screen readers work as everywhere else.

const SPEEDS = [1, 2, 4, 8];  // epochs a second

// a list of queries with a field that narrows it
function queryPicker(queries, choose) {
  const find = make("input", { type: "search", class: "find", placeholder: "search", "aria-label": "search the queries" });
  const list = make("select", { class: "query", "aria-label": "query" });
  const step = (by, words) => {
    const button = make("button", { type: "button", class: by < 0 ? "previous" : "next", "aria-label": words, title: words }, by < 0 ? "‹" : "›");
    button.addEventListener("click", () => move(by));
    return button;
  };
  const options = new Map(queries.map((q) => [q.id, make("option", { value: q.id }, `“${q.sentence}”`)]));
  let current = null;

  function narrow() {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kept = queries.filter((q) => words.every((w) => q.sentence.toLowerCase().includes(w)));
    list.replaceChildren(...(kept.length ? kept : queries).map((q) => options.get(q.id)));
    find.setAttribute("aria-invalid", String(!kept.length));
    find.title = `${kept.length} of ${queries.length} queries`;
    if (words.length && kept.length && !kept.some((q) => q.id === current)) choose(kept[0].id);
    list.value = current;
  }
  function move(by) {
    const shown = [...list.options].map((o) => o.value);
    const at = shown.indexOf(current);
    choose(shown[(at + by + shown.length) % shown.length]);
  }
  find.addEventListener("input", narrow);
  list.addEventListener("change", () => choose(list.value));
  narrow();
  const node = make("div", { class: "row" }, find, list, step(-1, "previous query"), step(1, "next query"));
  return { node, move, show: (id) => {
    if (id === current) return;
    current = id;
    if (!options.get(id).isConnected) { find.value = ""; narrow(); }
    list.value = id;
  } };
}

// check boxes behind a summary that says how many are on; `groups` is [[group, [{name, title}, ...]], ...]
function chooser(label, groups, change) {
  const all = groups.flatMap(([, items]) => items);
  const summary = make("summary", {});
  const boxes = new Map(all.map(({ name }) => [name, make("input", { type: "checkbox", value: name })]));
  const body = groups.map(([group, items]) => make("fieldset", {}, make("legend", {}, group),
    ...items.map(({ name, title }) => make("label", {}, boxes.get(name), title))));
  boxes.forEach((box) => box.addEventListener("change", () => change(all.map((c) => c.name).filter((n) => boxes.get(n).checked))));
  const node = make("details", { class: `choose ${label}` }, summary, ...body);
  node.hidden = !all.length;
  return { node, show: (names) => {
    boxes.forEach((box, name) => { box.checked = names.includes(name); });
    const words = `${label}: ${names.filter((n) => boxes.has(n)).length} of ${all.length}`;
    if (summary.textContent !== words) summary.textContent = words;
  } };
}

function grouped(curves) {
  const groups = new Map();
  for (const curve of curves) {
    if (!groups.has(curve.group)) groups.set(curve.group, []);
    groups.get(curve.group).push(curve);
  }
  return [...groups];
}

function buildControls(record) {
  const { meta, epochs } = record;
  const play = make("button", { type: "button", class: "play", "aria-pressed": "false" }, "▶ Play");
  const speed = make("select", { class: "speed", "aria-label": "speed" },
    ...SPEEDS.map((s) => make("option", { value: s }, s === 1 ? "1 epoch/s" : `${s} epochs/s`)));
  speed.value = "2";
  const slider = make("input", { type: "range", min: 0, max: epochs.length - 1, step: 1, "aria-label": "epoch",
    title: "arrow keys: epoch; space: play; t: trail; b: boxes; n, p: next, previous query" });
  const at = make("span", { class: "at" });
  const trail = make("input", { type: "checkbox", class: "trail" });
  const trailLabel = make("label", { class: "check", title: "the windows of the epochs before, the older the fainter (key: t)" }, trail, "trail");
  trailLabel.hidden = !record.runs.some((run) => run.steady);
  const boxes = make("input", { type: "checkbox", class: "boxes" });
  const boxesLabel = make("label", { class: "check", title: "the best predictions as boxes below the ground truth (key: b)" }, boxes, "boxes");
  const pick = make("select", { class: "pick", "aria-label": "proposal" });
  const label = make("p", { class: "label", role: "status", "aria-live": "polite" });
  const detail = make("p", { class: "detail" });
  const following = record.runs.map(() => make("p", { class: "following" }));
  const drawn = trailLabel.hidden ? "" : "While it plays, the drawing passes evenly from one recorded epoch to the next; numbers are of recorded epochs only.";
  const note = make("p", { class: "note" }, [meta.left_out, drawn].filter(Boolean).join(" "));
  note.hidden = !note.textContent;
  return { play, speed, slider, at, trail, trailLabel, boxes, boxesLabel, pick, label, detail, following, legend: buildLegend(record), note };
}

// what the colours and the dashes of negatives mean
function buildLegend({ meta: { hardness }, runs }) {
  const node = make("p", { class: "legend" });
  node.hidden = !hardness;
  if (!hardness) return { node, paint: () => {} };
  const bar = make("i", { class: "bar", role: "img", "aria-label": "from easy to hard" });
  const ends = [make("b", {}, `easy ${number(hardness.easy)}`), make("b", {}, `${number(hardness.hard)} hard`)];
  const clock = runs.some((run) => run.curves.some((curve) => curve.name === "curriculum/c"));
  const dashes = clock ? "; line: dotted while c < 0, dashed while c > 0" : "";
  node.append("colour of a negative: ", ends[0], " ", bar, " ", ends[1], ` ${hardness.words}${dashes}`);
  const paint = (dark) => {
    bar.style.background = `linear-gradient(90deg, ${hardness.stops[dark ? "dark" : "light"].join(", ")})`;
    const words = hardness.stops[dark ? "dark" : "text"];
    [ends[0].style.color, ends[1].style.color] = [words[0], words.at(-1)];
  };
  return { node, paint };
}

// moves on while it runs; `step` returns false at the end, `glide` draws the share of the way to the next step
function player(ui, step, glide = () => {}) {
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let frame = 0;
  const show = (on) => {
    ui.play.textContent = on ? "❚❚ Pause" : "▶ Play";
    ui.play.setAttribute("aria-pressed", String(on));
    ui.label.setAttribute("aria-live", on ? "off" : "polite");  // or a screen reader would never stop talking
  };
  const stop = () => {
    if (frame) glide(0);
    cancelAnimationFrame(frame);
    frame = 0;
    show(false);
  };
  const start = () => {
    show(true);
    let last = performance.now();
    const tick = (now) => {
      const share = (now - last) * Number(ui.speed.value) / 1000;
      if (share >= 1) {
        last = now;
        if (!step()) { stop(); return; }
      } else if (!calm.matches) glide(share);
      frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
  };
  return { start, stop, playing: () => frame !== 0 };
}
