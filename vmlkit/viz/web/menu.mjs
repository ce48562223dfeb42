// A menu of names, in the look of the picture below it and with the keys of every list.

function render({ model, el }) {
  const names = model.get("names");
  const menu = make("select", { class: "query", "aria-label": "run" }, ...names.map((name, i) => make("option", { value: i }, name)));
  const root = make("div", { class: "vmlkit-live vmlkit-menu" }, make("div", { class: "row" }, make("span", {}, "run"), menu));
  el.append(root);
  menu.addEventListener("change", () => put(model, "chosen", Number(menu.value)));
  const draw = () => { menu.value = model.get("chosen"); };
  const kept = keepDrawn({ model, root, roles: {}, names: ["chosen"], draw });
  return () => kept.stop();
}
