// Reading a packed run (vmlkit/viz/packing.py says what is where).

const MISSING = { uint16: 65535, uint8: 255 };

function decodeArrays(table, bytes) {
  const types = { uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array };
  const arrays = {};
  for (const [name, entry] of Object.entries(table)) {
    const count = entry.shape.reduce((a, b) => a * b, 1);
    const stored = new types[entry.dtype](bytes.buffer, entry.offset, count);
    const top = MISSING[entry.dtype];
    arrays[name] = entry.low === undefined ? stored : Float32Array.from(stored, (code) =>
      code === top ? NaN : entry.low + (code / (top - 1)) * (entry.high - entry.low));
  }
  return arrays;
}

// the first run and, where there are two, the second; both know the same queries
function decode(model) {
  const meta = model.get("meta");
  const raw = model.get("data");
  // a copy: the view may start at an address that a typed array does not accept
  const bytes = new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength).slice();
  const runs = [meta, ...(meta.other ? [meta.other] : [])].map((part) => {
    const arrays = decodeArrays(part.arrays, bytes);
    const [, Q, K] = part.arrays.center.shape;
    const P = part.counts.positives;
    const has = (name) => arrays[name].some((v, i) => i % K >= P && !Number.isNaN(v));
    return { ...part, arrays, arrayTable: part.arrays, Q, K, weighted: has("weight"), rated: has("score") };
  });
  // two runs move by share of training; epochs are counted in the one that has more of them
  const lead = runs.length > 1 && runs[1].epochs.length > runs[0].epochs.length ? runs[1] : runs[0];
  const shares = runs.some((run) => run.planned !== lead.planned);
  return { meta, bytes, runs, lead, shares, epochs: lead.epochs };
}

// the place of a run's recorded epoch nearest to an epoch of the leading run: at the same share of training
const alongside = ({ lead }, run, epoch) => nearest(run.epochs, (epoch / lead.planned) * run.planned);

async function decodeStrips({ meta, bytes }) {
  const videos = meta.strips ? meta.strips.videos : [];
  return Promise.all(videos.map(async (video) => {
    if (!video) return null;
    const part = bytes.slice(video.offset, video.offset + video.length);
    if (video.kind === "heat") return { ...video, values: part };
    return { ...video, picture: await createImageBitmap(new Blob([part], { type: "image/jpeg" })) };
  }));
}

const nearest = (epochs, epoch) => epochs.reduce((best, e, i) =>
  (Math.abs(e - epoch) < Math.abs(epochs[best] - epoch) ? i : best), 0);

// one query at one epoch: proposals with their role, place and numbers
function proposalsAt(run, e, q) {
  const { Q, K, arrays, counts: { positives: P, negatives: M } } = run;
  const chosen = arrays.chosen[e * Q + q];
  const list = [];
  for (let k = 0; k < K; k++) {
    const i = (e * Q + q) * K + k;
    if (Number.isNaN(arrays.center[i])) continue;
    const negative = k >= P;
    const role = negative ? run.negative_roles[arrays.role[(e * Q + q) * M + k - P]] : k === chosen ? "chosen" : "positive";
    const { sigma, floor, power } = run.shapes[negative ? 1 : 0];
    list.push({ k, role, negative, name: negative ? `negative ${k - P + 1}` : `positive ${k + 1}`,
      center: arrays.center[i], width: arrays.width[i], start: arrays.start[i], end: arrays.end[i],
      weight: arrays.weight[i], score: arrays.score[i], nll: arrays.nll[i], hardness: arrays.hardness[i],
      sharpness: sigma / Math.max(arrays.width[i], floor), power });
  }
  return list;
}

// the drawing on its way from one recorded epoch to the next: places and colours in between, numbers of neither
function between(from, to, share) {
  const next = new Map(to.map((item) => [item.k, item]));
  return from.map((item) => {
    const goal = next.get(item.k);
    if (!goal) return item;
    const mixed = ["center", "width", "start", "end", "sharpness", "hardness"].map((name) =>
      [name, item[name] + share * (goal[name] - item[name])]);
    return { ...item, ...Object.fromEntries(mixed) };
  });
}

// values of one per-clip signal over the video, evenly spaced; NaN where nothing was recorded
function signalAt(run, name, e, q) {
  const n = run.arrayTable[`signal/${name}`].shape[2];
  const from = (e * run.Q + q) * n;
  return run.arrays[`signal/${name}`].subarray(from, from + n);
}

const height = (item, t) => Math.exp(-0.5 * Math.abs((t - item.center) * item.sharpness) ** item.power);
const answerOf = (items) => items.find((item) => item.role === "chosen");
const largestIoN = (items) => Math.max(...items.filter((i) => i.negative && !Number.isNaN(i.score)).map((i) => i.score));

function numbersOf(item, query) {
  const part = (name, value) => (Number.isNaN(value) ? [] : [`${name} ${number(value)}`]);
  const seconds = [item.start, item.end].map((f) => (f * query.duration).toFixed(1)).join("–");
  return [item.name + (item.role === "chosen" ? " (the answer)" : ""), `${seconds} s`,
    ...part(item.negative ? "IoN" : "IoU", item.score), ...part("NLL", item.nll), ...part("weight", item.weight)].join(" · ");
}

function scoreWords(items) {
  const answer = answerOf(items);
  const ion = largestIoN(items);
  return [...(answer && !Number.isNaN(answer.score) ? [`IoU ${number(answer.score)}`] : []),
    ...(Number.isFinite(ion) ? [`IoN up to ${number(ion)}`] : [])];
}
