// The book without a server: theme, contents on a phone, search.  A classic script, because browsers refuse modules
// that are loaded from file://.  The index is loaded when someone begins to search.
(() => {
  const root = document.documentElement;
  const find = (selector) => document.querySelector(selector);
  const remembered = () => { try { return localStorage.getItem("vmlkit-theme"); } catch { return null; } };
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  function dress(theme) {
    root.dataset.theme = theme;
    const button = find(".theme");
    if (!button) return;
    button.textContent = theme === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `${button.textContent} theme`);
    document.body.dataset.jpThemeName = `book ${theme}`; // live pictures watch this attribute
  }
  const current = () => remembered() ?? (system.matches ? "dark" : "light");
  dress(current()); // before the first paint; the button is not there yet
  system.addEventListener("change", () => dress(current()));

  const clean = (text) => text.toLowerCase().replace(/[−–]/g, "-");
  const escaped = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

  // every word must occur; headings count more than text, prose more than the reference
  function search(index, query) {
    const words = clean(query).split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    const hits = [];
    for (const [page, anchor, heading, text] of index.sections) {
      const { title, href, weight } = index.pages[page];
      const [inHeading, inText, inTitle] = [clean(heading), clean(text), clean(title)];
      let score = 0;
      for (const word of words) {
        const here = (inHeading.includes(word) ? 6 : 0) + (inTitle.includes(word) ? 3 : 0) + (inText.includes(word) ? 1 : 0);
        if (!here) { score = 0; break; }
        score += here;
      }
      if (!score) continue;
      if (inHeading === words.join(" ")) score += 12;
      if (inText.includes(words.join(" "))) score += 2;
      hits.push({ score: score * weight, href: anchor ? `${href}#${anchor}` : href, title, heading, excerpt: excerpt(text, words) });
    }
    return hits.sort((a, b) => b.score - a.score).slice(0, 12);
  }

  function excerpt(text, words) {
    const first = Math.min(...words.map((w) => clean(text).indexOf(w)).filter((i) => i >= 0), text.length);
    const at = first < 60 ? 0 : text.indexOf(" ", first - 50) + 1;
    const part = escaped((at ? "… " : "") + text.slice(at, at + 170) + (at + 170 < text.length ? " …" : ""));
    const wanted = words.map((w) => escaped(w).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    return part.replace(new RegExp(wanted, "gi"), (m) => `<mark>${m}</mark>`);
  }

  let loading = null;
  function load() {
    loading ??= new Promise((done) => {
      const script = document.createElement("script");
      script.src = "search_index.js";
      script.addEventListener("load", () => done(window.BOOK_INDEX));
      document.head.append(script);
    });
    return loading;
  }

  function prepareSearch() {
    const [input, list] = [find(".top input"), find(".found")];
    const close = () => { list.hidden = true; input.setAttribute("aria-expanded", "false"); };
    const entries = () => [...list.querySelectorAll("a")];
    const show = async () => {
      const query = input.value.trim();
      if (!query) return close();
      const hits = search(await load(), query);
      if (input.value.trim() !== query) return;
      list.innerHTML = hits.map((h) => `<li><a href="${escaped(h.href)}"><b>${escaped(h.heading)}</b>` +
        `<span>${escaped(h.title)} · ${h.excerpt}</span></a></li>`).join("") || "<li><p>Nothing holds all of these words.</p></li>";
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
    };
    input.addEventListener("focus", load);
    input.addEventListener("input", show);
    find(".top form").addEventListener("submit", (event) => { event.preventDefault(); entries()[0]?.click(); });
    find(".top form").addEventListener("keydown", (event) => {
      if (event.key === "Escape") { close(); input.focus(); }
      if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
      event.preventDefault();
      const all = [input, ...entries()];
      const next = all.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      all[Math.max(0, Math.min(next, all.length - 1))].focus();
    });
    list.addEventListener("click", close);
    document.addEventListener("click", (event) => { if (!event.target.closest(".top form")) close(); });
    document.addEventListener("keydown", (event) => {
      if (event.key === "/" && !event.target.closest("input, select, textarea")) { event.preventDefault(); input.focus(); }
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    dress(current());
    find(".theme").addEventListener("click", () => {
      const theme = root.dataset.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("vmlkit-theme", theme); } catch { /* it holds for this page, then */ }
      dress(theme);
    });
    const menu = find(".menu");
    menu.addEventListener("click", () => {
      menu.setAttribute("aria-expanded", String(find(".contents").classList.toggle("open")));
    });
    const here = find(".contents [aria-current]");
    if (here) find(".contents").scrollTop = here.offsetTop - 120;
    prepareSearch();
  });
})();
