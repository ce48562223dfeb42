// The video itself beside its proposals, where a file is at hand: it plays, and a bar in the stages moves with it.

function filmPlayer(films, moved) {
  const video = make("video", { controls: "", playsinline: "", preload: "auto", class: "film" });
  video.muted = true;
  video.hidden = true;
  video.setAttribute("data-lm-suppress-shortcuts", "true");
  let [shown, alive] = [null, true];

  function show(id) {
    if (id === shown) return;
    shown = id;
    const source = films[id];
    video.pause();
    video.hidden = !source;
    if (source) video.src = source;
    else video.removeAttribute("src");
  }
  const follow = () => { if (alive && !video.hidden) moved(); };
  const watch = () => { follow(); if (alive && !video.paused && !video.ended) requestAnimationFrame(watch); };
  video.addEventListener("play", watch);
  for (const name of ["seeked", "pause", "loadeddata"]) video.addEventListener(name, follow);
  video.addEventListener("error", () => { if (video.hasAttribute("src")) { video.hidden = true; moved(); } });
  return { node: video, show, time: () => (video.hidden ? null : video.currentTime),
    seek: (time) => { if (!video.hidden) video.currentTime = time; },
    stop: () => { alive = false; video.pause(); } };
}

function drawPlayhead(ctx, look, box, duration, time) {
  if (time === null) return;
  const x = box.left + (box.inner * clamp(time, 0, duration)) / duration;
  ctx.strokeStyle = look.ink;
  ctx.lineWidth = 1.4;
  line(ctx, x, box.side ? box.traces : box.cap - 14, x, box.floor);
}

// the second under a click on the film strip; null elsewhere
function secondAt(box, duration, x, y) {
  const inside = box && y <= box.traces && x >= box.left && x <= box.left + box.inner;
  return inside ? (duration * (x - box.left)) / box.inner : null;
}
