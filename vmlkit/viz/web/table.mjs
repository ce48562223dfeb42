// A table of the queries with their IoU, sorted by any column; a row is the way to its query.

const FOUND = 0.5;  // an answer counts as found from this IoU on

// IoU of the answer at the place of a recorded epoch; NaN where nothing was chosen
const answerScore = (run, e, q) => {
  const k = run.arrays.chosen[e * run.Q + q];
  return k === 255 ? NaN : run.arrays.score[(e * run.Q + q) * run.K + k];
};

function fate(first, last) {
  if (Number.isNaN(first) || Number.isNaN(last)) return "–";
  if (last >= FOUND) return first >= FOUND ? "found throughout" : "learned";
  return first >= FOUND ? "lost" : "not found";
}

// one run: first and last epoch; two: their last epochs side by side
function rowsOf({ meta, runs }) {
  const at = (run, q) => [0, run.epochs.length - 1].map((e) => answerScore(run, e, q));
  const heads = runs.length > 1 ? [...runs.map((run) => run.name), "difference"]
    : [`IoU, epoch ${runs[0].epochs[0]}`, `IoU, epoch ${runs[0].epochs.at(-1)}`, "change"];
  const rows = meta.queries.map((query, q) => {
    const [first, last] = runs.length > 1 ? runs.map((run) => at(run, q)[1]) : at(runs[0], q);
    return { query, values: [query.sentence, first, last, last - first, ...(runs.length > 1 ? [] : [fate(first, last)])] };
  });
  return { heads: ["sentence", ...heads, ...(runs.length > 1 ? [] : ["at IoU ≥ 0.5"])], rows };
}

// numbers from low to high with the missing ones last, words by their letters
function compareCells(a, b, sign) {
  if (typeof a === "string") return sign * a.localeCompare(b);
  return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : sign * (a - b);
}

function queryTable(record, choose) {
  const { heads, rows } = rowsOf(record);
  let [sorted, sign, current] = [-1, 1, null];
  const body = make("tbody");
  rows.forEach((row) => {
    const go = make("button", { type: "button" }, row.query.sentence);
    go.addEventListener("click", () => choose(row.query.id));
    const cells = row.values.slice(1).map((v) => make("td", {}, typeof v === "string" ? v : number(v)));
    row.node = make("tr", {}, make("th", { scope: "row" }, go), ...cells);
  });
  const columns = heads.map((words, c) => {
    const by = make("button", { type: "button", title: `sort by ${words}` }, words);
    by.addEventListener("click", () => sort(c));
    return make("th", { scope: "col", "aria-sort": "none" }, by);
  });
  function sort(c) {
    [sorted, sign] = [c, c === sorted ? -sign : 1];
    columns.forEach((head, i) => head.setAttribute("aria-sort", i !== c ? "none" : sign > 0 ? "ascending" : "descending"));
    const order = [...rows].sort((a, b) => compareCells(a.values[c], b.values[c], sign));
    body.replaceChildren(...order.map((row) => row.node));
  }
  body.append(...rows.map((row) => row.node));
  const table = make("table", { class: "readout" }, make("thead", {}, make("tr", {}, ...columns)), body);
  const node = make("details", { class: "choose queries" },
    make("summary", {}, `table of ${rows.length} queries`), make("div", { class: "scroll" }, table));
  return { node, show: (id) => {
    if (id === current) return;
    current = id;
    rows.forEach((row) => (row.query.id === id ? row.node.setAttribute("aria-current", "true") : row.node.removeAttribute("aria-current")));
  } };
}
