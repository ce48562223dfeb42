// A training to start and to stop by hand, with its curves while it runs.

const SAID = { ready: "Not started.", training: "Training …", stopping: "Stopping …", stopped: "Stopped; it goes on from its last epoch.",
  done: "Done.", failed: "It ended with an error: " };

function render({ model, el }) {
  const go = make("button", { type: "button", class: "go" }, "▶ Train");
  const stop = make("button", { type: "button", class: "stop" }, "■ Stop");
  const bar = make("progress", { max: 1, value: 0, "aria-label": "epochs trained" });
  const at = make("span", { class: "at" });
  const label = make("p", { class: "label", role: "status", "aria-live": "polite" });
  const sheet = new Sheet({ class: "panels" });
  const root = make("div", { class: "vmlkit-live vmlkit-training" }, make("div", { class: "row" }, go, stop, bar, at), label, sheet.canvas);
  el.append(root);
  const ask = (what) => put(model, "wanted", what);
  go.addEventListener("click", () => ask("train"));
  stop.addEventListener("click", () => ask("stop"));

  // the curves as the scrubber's panels take them; the axis reaches to the planned end from the beginning
  function asRun() {
    const [epochs, planned] = [model.get("epochs"), model.get("planned")];
    const open = epochs.at(-1) < planned;
    const all = model.get("curves").flatMap((curve) => [...curve.values.map((v) => v ?? NaN), ...(open ? [NaN] : [])]);
    return { planned, curves: model.get("curves"),
      arrays: { curve_epochs: Int32Array.from(open ? [...epochs, planned] : epochs), curves: Float32Array.from(all) } };
  }

  function draw(look) {
    const [epochs, state, curves] = [model.get("epochs"), model.get("state"), model.get("curves")];
    const [width, live, busy] = [widthOf(root), model.get("kernel"), ["training", "stopping"].includes(state)];
    go.disabled = !live || busy || state === "done";
    stop.disabled = !live || state !== "training";
    bar.max = model.get("planned");
    bar.value = epochs.at(-1) ?? 0;
    const here = `epoch ${epochs.at(-1) ?? 0} / ${model.get("planned")}`;
    at.textContent = here;
    label.textContent = live || state === "done" ? SAID[state] + model.get("said") : "To train, run the notebook: there is no kernel here.";
    root.dataset.state = state;
    root.dataset.epoch = epochs.at(-1) ?? "";
    const layout = layPanels(width, curves.length);
    sheet.canvas.hidden = !epochs.length;
    sheet.canvas.setAttribute("aria-label", `${curves.map((c) => `${c.title} ${number(c.values.at(-1) ?? NaN, 3)}`).join(", ")} at ${here}`);
    if (epochs.length) {
      sheet.fit(width, layout.total);
      const run = asRun();
      const ctx = sheet.begin(`${width}${look.dark}${look.ground}${epochs.length}${run.arrays.curves.join()}`, () => {});
      curves.forEach((curve, i) => {
        const scale = panelScale([run], curve.name, layout.boxes[i], false);
        drawPanel(ctx, look, layout.boxes[i], scale, curve.title);
        drawCursor(ctx, look, layout.boxes[i], scale, 0, [epochs.at(-1)]);
      });
    }
    sheet.drawn({ ready: "true" });
  }

  const kept = keepDrawn({ model, root, roles: model.get("roles"), names: ["epochs", "curves", "state", "said", "planned"], draw });
  return () => kept.stop();
}
