// Your own mask over a film strip: which words a trained reconstructor then says, how surprised it is by the sentence,
// and where a word looks.  Every number was computed by the network on a grid; nothing is computed here but overlaps.

const [SCENE, LOOKS] = [{ top: 8, base: 104 }, { top: 142, base: 206 }];  // mask over time; one word or the loss by center

// what the reconstructor says of each word, as buttons: the word, how likely it is, and what is likelier
function wordButtons(choose) {
  const node = make("div", { class: "row words", role: "group", "aria-label": "words of the sentence; one shows where it looks" });
  let shown = [];
  return { node, write: (sentence, said, selected, color) => {
    if (shown !== sentence.words) {
      shown = sentence.words;
      node.replaceChildren(...shown.map((_, i) => {
        const button = make("button", { type: "button" }, make("span"), make("small"));
        button.addEventListener("click", () => choose(i));
        return button;
      }));
    }
    [...node.children].forEach((button, i) => {
      const { chance, guess } = said[i];
      const percent = Math.round(chance / 10);
      const [word, small] = button.children;
      word.textContent = shown[i];
      small.textContent = guess === shown[i] ? `${percent} %` : `${percent} %, ${guess}?`;
      button.classList.toggle("hidden-word", sentence.hidden[i]);
      button.setAttribute("aria-pressed", String(i === selected));
      button.title = sentence.hidden[i] ? "hidden from the words after it" : "read by the words after it";
      button.style.backgroundImage = `linear-gradient(90deg, ${color}55 ${percent}%, transparent ${percent}%)`;
    });
  } };
}

function render({ model, el }) {
  const [record, roles] = [model.get("record"), model.get("roles")];
  const { sentences, centers, widths, vocabulary } = record;
  const [sigma, floor] = [record.curve.sigma, record.curve.floor ?? 0.01];
  const here = () => sentences[clamp(model.get("sentence"), 0, sentences.length - 1)];
  const onGrid = (name, values) => clamp(Math.round(model.get(name)), 0, values.length - 1);
  const [c, w] = [() => onGrid("center", centers), () => onGrid("width", widths)];
  const spanAt = () => [centers[c()] - widths[w()] / 2, centers[c()] + widths[w()] / 2];
  const inVideo = (span) => span.map((t) => clamp(t, 0, 1));
  const answered = () => model.get("answered") > 0;
  const answers = new Map();

  const menu = make("select", { class: "query", "aria-label": "sentence" },
    ...sentences.map((s, i) => make("option", { value: i }, `“${s.sentence}”`)));
  menu.addEventListener("change", () => {
    const wanted = Number(menu.value);
    for (const [name, value] of [["word", -1], ["answered", 0], ["sentence", wanted]]) put(model, name, value);
  });
  const answer = make("button", { type: "button", class: "answer" }, "Answer");
  answer.addEventListener("click", () => { remember(); put(model, "answered", 1); });
  const words = wordButtons((i) => put(model, "word", model.get("word") === i ? -1 : i));
  const seconds = (fraction) => `${number(fraction * here().duration, 1)} s`;
  const dials = [
    dial(model, "center", { label: "center", min: 0, max: centers.length - 1, step: 1, format: (i) => seconds(centers[i]) }),
    dial(model, "width", { label: "width", min: 0, max: widths.length - 1, step: 1, format: (i) => seconds(widths[i]) }),
  ];
  const picture = make("img", { class: "strip", alt: "Pictures of the video over its length" });
  const sheet = new Sheet({ class: "stage" });
  const label = make("p", { class: "label", role: "status", "aria-live": "polite" });
  const [score, note] = [make("p", { class: "score" }), make("p", { class: "note" }, record.note)];
  const root = make("div", { class: "vmlkit-live vmlkit-mask" }, make("div", { class: "row" }, menu, answer), picture,
    sheet.canvas, make("div", { class: "dials" }, ...dials.map((d) => d.node)), words.node, label, score, note);
  el.append(root);
  let place = { left: 0, inner: 1 };

  const lossHere = () => here().loss[w()][c()];
  const saidHere = () => here().words.map((_, i) =>
    ({ chance: here().chance[i][w()][c()], guess: vocabulary[here().guess[i][w()][c()]] }));

  function remember() {
    const { model: other, truth, loss } = { ...here(), loss: lossHere() };
    answers.set(here().id, { lower: loss < other.loss, closer: iouOf(inVideo(spanAt()), truth.span) > iouOf(other.span, truth.span) });
  }

  function drawWindow(ctx, look, { center, width }, role, filled) {
    const points = Array.from({ length: 161 }, (_, i) => i / 160).map((t) => [place.left + place.inner * t,
      SCENE.base - (SCENE.base - SCENE.top) * Math.exp(-0.5 * (((t - center) * sigma) / Math.max(width, floor)) ** 2)]);
    ctx.strokeStyle = ctx.fillStyle = look.colors[role];
    ctx.lineWidth = 2.2;
    ctx.setLineDash(filled ? [] : [6, 4]);
    trace(ctx, points);
    ctx.stroke();
    ctx.setLineDash([]);
    if (!filled) return;
    ctx.lineTo(place.left + place.inner, SCENE.base);
    ctx.lineTo(place.left, SCENE.base);
    ctx.globalAlpha = 0.2;
    ctx.fill();
    ctx.globalAlpha = 1;
    const [from, to] = inVideo(spanAt()).map((t) => place.left + place.inner * t);
    ctx.fillRect(from, SCENE.base - 2, to - from, 5);
  }

  function drawTruth(ctx, look) {
    const [from, to] = here().truth.span.map((t) => place.left + place.inner * t);
    ctx.fillStyle = look.colors.truth;
    ctx.globalAlpha = 0.18;
    ctx.fillRect(from, 0, to - from, LOOKS.base);
    ctx.globalAlpha = 1;
    ctx.fillRect(from, 0, to - from, 5);
  }

  // by center, at the width of the mask: how likely the chosen word is, or once answered how surprising the sentence is
  function drawLooks(ctx, look) {
    const word = model.get("word");
    const one = word >= 0 && word < here().words.length;
    if (!one && !answered()) {
      text(ctx, look, "Click a word to see where it looks.", place.left, (LOOKS.top + LOOKS.base) / 2, { color: look.faint, room: place.inner });
      return;
    }
    const values = one ? here().chance[word][w()] : here().loss[w()];
    // a word's axis is the same at every width, so that widths can be compared
    const [low, high] = one ? [0, Math.max(...here().chance[word].flat(), 10)] : [Math.min(...values), Math.max(...values)];
    const y = (v) => LOOKS.base - ((v - low) / (high - low || 1)) * (LOOKS.base - LOOKS.top);
    const color = one ? "attention" : "chosen";
    text(ctx, look, one ? `“${here().words[word]}”` : "loss", place.left - 8, (LOOKS.top + LOOKS.base) / 2,
      { align: "right", color: look.words[color], room: place.left - 30 });
    for (const v of [low, high]) text(ctx, look, one ? `${Math.round(v / 10)} %` : number(v), place.left - 8, y(v), { align: "right", color: look.faint, size: 10.5 });
    ctx.strokeStyle = ctx.fillStyle = look.colors[color];
    ctx.lineWidth = 2;
    trace(ctx, values.map((v, i) => [place.left + place.inner * centers[i], y(v)]));
    ctx.stroke();
    ctx.beginPath();
    ctx.arc(place.left + place.inner * centers[c()], y(values[c()]), 4.5, 0, 2 * Math.PI);
    ctx.fill();
  }

  function draw(look) {
    const [sentence, width] = [here(), widthOf(root)];
    place = { left: width < 560 ? 70 : 96, inner: width - (width < 560 ? 82 : 108) };
    menu.value = model.get("sentence");
    picture.hidden = !sentence.strip;
    if (sentence.strip && picture.src !== sentence.strip) picture.src = sentence.strip;
    picture.style.marginLeft = `${place.left}px`;
    picture.style.width = `${place.inner}px`;
    sheet.fit(width, 232);
    const key = [width, look.dark, look.ground, sentence.id].join("|");
    const ctx = sheet.begin(key, (back) => {
      text(back, look, "your mask", place.left - 8, 44, { align: "right", color: look.words.chosen });
      back.strokeStyle = look.faint;
      for (const base of [SCENE.base, LOOKS.base]) line(back, place.left, base + 0.5, place.left + place.inner, base + 0.5);
      const step = niceStep(sentence.duration, place.inner / 80);
      for (let s = 0; s <= sentence.duration; s += step) {
        text(back, look, String(+s.toFixed(2)), place.left + (place.inner * s) / sentence.duration, LOOKS.base + 14, { align: "center", color: look.faint, size: 11 });
      }
      text(back, look, "time (s)", place.left - 8, LOOKS.base + 14, { align: "right", color: look.faint, size: 11 });
    });
    if (answered()) {
      drawTruth(ctx, look);
      text(ctx, look, "ground truth", place.left - 8, 8, { align: "right", color: look.words.truth, room: place.left - 10 });
      text(ctx, look, "the model", place.left - 8, 68, { align: "right", color: look.words.positive });
      drawWindow(ctx, look, sentence.model, "positive", false);
    }
    drawWindow(ctx, look, { center: centers[c()], width: widths[w()] }, "chosen", true);
    drawLooks(ctx, look);
    describe(look);
    sheet.drawn({ sentence: sentence.id, loss: lossHere().toFixed(3) });
  }

  function describe(look) {
    const [{ model: other, truth }, loss] = [here(), lossHere()];
    const better = (mine, its) => (mine === its ? "a draw" : mine < its ? "you explain it better than the model" : "the model explains it better");
    const losses = `loss of the sentence: you ${number(loss)}, the model ${number(other.loss)}`;
    label.textContent = answered()
      ? `${losses}, the true span ${number(truth.loss)}: ${better(loss, other.loss)} · IoU with the truth: `
        + `you ${number(iouOf(inVideo(spanAt()), truth.span))}, the model ${number(iouOf(other.span, truth.span))}`
      : `${losses} (lower is better): ${better(loss, other.loss)}. Where the model and the truth lie you see when you answer.`;
    answer.disabled = answered();
    dials.forEach((d) => d.refresh());
    words.write(here(), saidHere(), model.get("word"), look.colors.positive);
    const kept = [...answers.values()];
    const count = (name) => kept.filter((a) => a[name]).length;
    score.hidden = !kept.length;
    score.textContent = `Answered ${kept.length} of ${sentences.length}: lower loss than the model in ${count("lower")}, closer to the truth in ${count("closer")}.`;
    sheet.canvas.setAttribute("aria-label", `Your mask over “${here().sentence}”: ${label.textContent}`);
  }

  const nearestOf = (values, wanted) => values.reduce((best, v, i) => (Math.abs(v - wanted) < Math.abs(values[best] - wanted) ? i : best), 0);
  dragSpans(sheet.canvas, {
    at: (event) => (event.offsetX - place.left) / place.inner,
    find: (event) => {
      const [start, end] = spanAt();
      const half = (end - start) / 2;
      return event.offsetY > LOOKS.top - 16 ? null : { start, end, low: -half, high: 1 + half, near: 10 / place.inner, fresh: true };
    },
    move: (_, start, end) => {
      put(model, "width", nearestOf(widths, end - start));
      put(model, "center", nearestOf(centers, (start + end) / 2));
    },
  });

  const kept = keepDrawn({ model, root, roles, names: ["center", "width", "sentence", "answered", "word"], draw });
  sheet.canvas.dataset.ready = "true";
  return () => { dials.forEach((d) => d.stop()); kept.stop(); };
}
