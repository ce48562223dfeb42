// A sentence of one's own: a field that asks the kernel, and the answers as boxes over the film strip.

function render({ model, el }) {
  const [videos, live] = [model.get("videos"), model.get("kernel")];
  const pick = make("select", { class: "query", "aria-label": "video" }, ...videos.map((v, i) => make("option", { value: i }, `video ${v.id}`)));
  const known = make("select", { class: "known", "aria-label": "sentences of this video" });
  const field = make("input", { type: "search", class: "sentence", "aria-label": "your sentence", maxlength: 200,
    placeholder: live ? "type a sentence" : "no kernel" });
  const go = make("button", { type: "button", class: "ask" }, "Ask");
  const picture = make("img", { class: "strip", alt: "Pictures of the video over its length" });
  const sheet = new Sheet({ class: "stage" });
  const label = make("p", { class: "label", role: "status", "aria-live": "polite" });
  const note = make("p", { class: "note" });
  const root = make("div", { class: "vmlkit-live vmlkit-sentence" }, make("div", { class: "row" }, pick, known),
    make("div", { class: "row" }, field, go), picture, sheet.canvas, label, note);
  el.append(root);
  for (const node of [pick, known, field, go]) node.disabled = !live;
  let listed = null;

  const ask = (sentence) => { if (live && sentence.trim()) put(model, "wanted", sentence.trim()); };
  go.addEventListener("click", () => ask(field.value));
  // no form: JupyterLab keeps a page's forms from being submitted by the key
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") ask(field.value); });
  known.addEventListener("change", () => { field.value = known.value; ask(known.value); });
  pick.addEventListener("change", () => {
    const place = Number(pick.value);
    put(model, "video", place);
    field.value = videos[place].sentences[0];
    ask(field.value);
  });

  function draw(look) {
    const [at, answer] = [model.get("video"), model.get("answer")];
    const video = videos[at];
    const asked = answer.video === at ? answer : { items: [], truths: [], unknown: [], sentence: "", said: "" };
    if (listed !== at) {
      known.replaceChildren(make("option", { value: "", disabled: "" }, "sentences of this video"), ...video.sentences.map((s) => make("option", { value: s }, `“${s}”`)));
      field.value = asked.sentence || video.sentences[0];
      listed = at;
    }
    pick.value = at;
    known.value = video.sentences.includes(asked.sentence) ? asked.sentence : "";
    const width = widthOf(root);
    const box = { left: 104, inner: width - 120, cap: 10 };
    box.base = box.floor = box.cap + 14 + BOX * Math.max(asked.items.length, 1);
    picture.hidden = !video.strip;
    if (video.strip && picture.src !== video.strip) picture.src = video.strip;
    picture.style.marginLeft = `${box.left}px`;
    picture.style.width = `${box.inner}px`;
    sheet.fit(width, box.floor + 26);
    const items = asked.items.map((item, i) => ({ role: i ? "positive" : "chosen", name: `answer ${i + 1}`, start: item.start / video.duration,
      end: item.end / video.duration, score: item.iou ?? NaN, nll: asked.detr ? i : item.score, weight: asked.detr ? item.score : NaN }));
    const truths = { duration: video.duration, truths: asked.truths };
    const ctx = sheet.begin(`${width}${look.dark}${look.ground}${at}${asked.sentence}${items.length}`, (back) => {
      if (asked.truths.length) drawTruths(back, look, box, truths);
      drawAxis(back, look, box, video.duration);
    });
    drawBoxes(ctx, look, box, items);
    const waiting = model.get("wanted");
    const unknown = asked.unknown.length ? ` Unknown to the model, and passed over: ${asked.unknown.join(", ")}.` : "";
    label.textContent = waiting ? `Asking “${waiting}” …` : asked.said ? asked.said
      : items.length ? `“${asked.sentence}”: ${boxWords(items, video)}.${unknown}` : "";
    note.textContent = `${model.get("who")} answers.` + (live ? "" : " To type a sentence, run the notebook: there is no kernel here.");
    sheet.canvas.setAttribute("aria-label", `Answers over the film strip: ${label.textContent}`);
    sheet.drawn({ ready: "true", asked: asked.sentence });
  }

  const kept = keepDrawn({ model, root, roles: model.get("roles"), names: ["answer", "video", "wanted"], draw });
  return () => kept.stop();
}
