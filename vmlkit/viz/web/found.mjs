// Moments found in a video: the video itself, and below it one lane a sentence over the same seconds.
// All lanes share one bar that moves with the video; a click on a moment, a button or the lane goes there.

const WHO = { trained: ["positive", "trained"], similarity: ["attention", "similarity"] };
// pixels of a section before its lane: border and padding, as the style sheet has them
const INDENT = 11;
const seconds = (s) => `${number(s, s < 10 ? 2 : 1)} s`;
const spanWords = ([start, end]) => `${number(start, 1)}–${number(end, 1)} s`;

function laneBox(width) {
  const left = width < 560 ? 74 : 92;
  return { width, left, inner: width - left - 12, top: 6, half: 22, base: 34, total: 62 };
}

// the rectangle of a moment; trained ones lie above the middle line, the others below
function barOf(box, duration, source, [start, end]) {
  const x = box.left + (box.inner * start) / duration;
  const y = source === "trained" ? box.base - box.half - 3 : box.base + 3;
  return { x, y, w: Math.max((box.inner * (end - start)) / duration, 2), h: box.half };
}

function drawLane(ctx, look, box, state, item) {
  const { duration } = state;
  if (item.curve.length) {
    const high = Math.max(...item.curve);
    const low = Math.min(...item.curve);
    const place = (v, i) => [box.left + (box.inner * item.times[i]) / duration,
      box.total - 3 - ((box.total - 10) * (v - low)) / (high - low || 1)];
    const points = item.curve.map(place);
    trace(ctx, [[points[0][0], box.total - 3], ...points, [points.at(-1)[0], box.total - 3]]);
    ctx.fillStyle = look.faint;
    ctx.globalAlpha = 0.2;
    ctx.fill();
    ctx.globalAlpha = 1;
  }
  ctx.strokeStyle = look.line;
  ctx.lineWidth = 1;
  line(ctx, box.left, box.base + 0.5, box.left + box.inner, box.base + 0.5);
  for (const [source, rows] of item.found) {
    const [role, words] = WHO[source];
    const first = barOf(box, duration, source, rows[0]);
    text(ctx, look, words, box.left - 8, first.y + first.h / 2, { align: "right", color: look.words[role], size: 11, room: box.left - 10 });
    [...rows].reverse().forEach((row, k) => {
      const [rank, bar] = [rows.length - 1 - k, barOf(box, duration, source, row)];
      ctx.fillStyle = rank ? hatch(ctx, look, look.colors[role], false) : look.colors[role];
      ctx.globalAlpha = rank ? 0.6 : 0.9;
      ctx.fillRect(bar.x, bar.y, bar.w, bar.h);
      ctx.globalAlpha = 1;
      ctx.strokeStyle = look.colors[role];
      ctx.lineWidth = rank ? 1 : 2;
      ctx.strokeRect(bar.x, bar.y, bar.w, bar.h);
    });
  }
}

// the moment under a point of a lane; the better one where several lie over one another
function momentAt(box, duration, item, x, y) {
  for (const [source, rows] of item.found) {
    for (const row of rows) {
      const bar = barOf(box, duration, source, row);
      if (x >= bar.x - 2 && x <= bar.x + bar.w + 2 && y >= bar.y && y <= bar.y + bar.h) return row;
    }
  }
  return null;
}

function player(model, name) {
  const video = make("video", { controls: "", playsinline: "", preload: "auto" });
  const note = make("p", { class: "note", role: "status" }, "");
  video.setAttribute("data-lm-suppress-shortcuts", "true");
  const bytes = model.get("data");
  const url = bytes?.byteLength ? URL.createObjectURL(new Blob([bytes], { type: model.get("type") })) : model.get("source");
  video.addEventListener("error", () => {
    video.hidden = true;
    note.textContent = bytes?.byteLength ? `This browser cannot play ${name}; the moments below are right all the same.`
      : `${name} is not where it was beside this page, or this browser cannot play it; the moments below are right all the same.`;
  });
  if (url) video.src = url;
  return { video, note, free: () => { if (bytes?.byteLength) URL.revokeObjectURL(url); } };
}

function render({ model, el }) {
  const state = Object.fromEntries(["duration", "answers", "strip", "name"].map((key) => [key, model.get(key)]));
  const { video, note, free } = player(model, state.name);
  const strip = state.strip ? make("img", { class: "strip", src: state.strip, alt: "Pictures of the video over its length" }) : null;
  const at = make("p", { class: "label", role: "status" });
  const lanes = state.answers.map(() => new Sheet({ class: "lane" }));
  let [boxes, alive] = [[], true];

  // without a playable video the bar still moves to what was clicked
  function go(time, start) {
    put(model, "time", time);
    if (video.hidden || video.error) return;
    video.currentTime = time;
    if (start) video.play()?.catch(() => {});
  }
  const sections = state.answers.map((item, k) => {
    const lists = item.found.map(([source, rows]) => make("div", { class: "row" }, make("span", {}, WHO[source][1]),
      ...rows.map((row) => {
        const button = make("button", { type: "button", title: `score ${number(row[2], 3)}` }, spanWords(row));
        button.addEventListener("click", () => go(row[0], true));
        return button;
      })));
    const unknown = item.unknown.length ? [make("p", { class: "note" }, `Unknown, and passed over: ${item.unknown.join(", ")}`)] : [];
    const none = item.found.length ? [] : [make("p", { class: "note" }, "No moment was found.")];
    return make("section", { class: "found" }, make("h2", {}, `“${item.sentence}”`), lanes[k].canvas, ...lists, ...unknown, ...none);
  });
  const root = make("div", { class: "vmlkit-live vmlkit-found" }, video, note, at, ...(strip ? [strip] : []), ...sections);
  el.append(root);

  const holds = (item) => item.answer && model.get("time") >= item.answer[0] && model.get("time") <= item.answer[1];

  function draw(look) {
    const width = Math.max((root.clientWidth || 760) - INDENT, 280);
    const time = model.get("time");
    state.answers.forEach((item, k) => {
      const box = laneBox(width);
      boxes[k] = box;
      lanes[k].fit(width, box.total);
      const ctx = lanes[k].begin(`${width}${look.dark}${look.ground}`, (back) => drawLane(back, look, box, state, item));
      const x = box.left + (box.inner * clamp(time, 0, state.duration)) / state.duration;
      ctx.strokeStyle = look.ink;
      ctx.lineWidth = 1.6;
      line(ctx, x, 0, x, box.total);
      sections[k].classList.toggle("now", Boolean(holds(item)));
      lanes[k].canvas.setAttribute("aria-label", `Moments of “${item.sentence}”${item.answer ? `: ${spanWords(item.answer)}` : ""}`);
      lanes[k].drawn({ time: time.toFixed(2) });
    });
    if (strip) {
      strip.style.marginLeft = `${laneBox(width).left + INDENT}px`;
      strip.style.width = `${laneBox(width).inner}px`;
    }
    const shown = state.answers.filter(holds).map((item) => `“${item.sentence}”`);
    at.textContent = [`${seconds(time)} of ${seconds(state.duration)}`, ...shown].join(" · ");
  }

  lanes.forEach((sheet, k) => sheet.canvas.addEventListener("click", (event) => {
    const [box, item] = [boxes[k], state.answers[k]];
    const moment = momentAt(box, state.duration, item, event.offsetX, event.offsetY);
    const there = clamp((event.offsetX - box.left) / box.inner, 0, 1) * state.duration;
    go(moment ? moment[0] : there, Boolean(moment));
  }));
  const follow = () => { if (alive && !video.hidden) put(model, "time", video.currentTime); };
  const watch = () => { follow(); if (alive && !video.paused && !video.ended) requestAnimationFrame(watch); };
  video.addEventListener("play", watch);
  for (const name of ["seeked", "timeupdate", "pause"]) video.addEventListener(name, follow);

  const kept = keepDrawn({ model, root, roles: model.get("roles"), names: ["time"], draw });
  root.dataset.ready = "true";
  return () => { alive = false; video.pause(); kept.stop(); free(); };
}
