"use strict";
// The board: sorting, filters, search, chosen columns; what is shown stands in the address, so that it can be shared.
(function () {
  const data = evalkit.json("data");
  const table = document.getElementById("table");
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const head = Array.from(table.tHead.rows).pop();
  const columns = data.columns;
  const place = new Map(columns.map(function (column, index) { return [column.id, index]; }));
  const texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
  const controls = document.getElementById("controls");
  const search = document.getElementById("q");
  const selects = Array.from(controls.querySelectorAll("select[data-filter]"));
  const boxes = Array.from(controls.querySelectorAll("input[data-column]"));
  const bounds = { min: document.getElementById("min"), max: document.getElementById("max") };
  const narrow = window.matchMedia("(max-width: 40rem)").matches;
  const start = new Set(columns.filter(function (c) { return c.shown && !(narrow && c.kind === "fact"); }).map(function (c) { return c.id; }));
  let state = plainState();

  function plainState() {
    return { sort: "rank", falling: false, q: "", filters: {}, min: "", max: "", shown: new Set(start) };
  }

  function read() {
    const found = plainState();
    const given = new URLSearchParams(window.location.hash.slice(1));
    if (place.has(given.get("sort"))) found.sort = given.get("sort");
    found.falling = given.get("dir") === "desc";
    found.q = given.get("q") || "";
    found.min = given.get("min") || "";
    found.max = given.get("max") || "";
    selects.forEach(function (select) {
      const value = given.get(select.dataset.filter);
      if (value && Array.from(select.options).some(function (o) { return o.value === value; })) found.filters[select.dataset.filter] = value;
    });
    if (given.has("cols")) found.shown = new Set(given.get("cols").split(",").filter(function (id) { return place.has(id); }));
    return found;
  }

  function same(a, b) {
    return a.size === b.size && Array.from(a).every(function (id) { return b.has(id); });
  }

  function address() {
    const said = new URLSearchParams();
    if (state.sort !== "rank" || state.falling) said.set("sort", state.sort);
    if (state.falling) said.set("dir", "desc");
    ["q", "min", "max"].forEach(function (name) { if (state[name]) said.set(name, state[name]); });
    Object.keys(state.filters).forEach(function (name) { if (state.filters[name]) said.set(name, state.filters[name]); });
    if (!same(state.shown, start)) said.set("cols", columns.map(function (c) { return c.id; }).filter(function (id) { return state.shown.has(id); }).join(","));
    return said.toString();
  }

  function wanted(index) {
    const row = data.rows[index];
    const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.every(function (word) { return texts[index].includes(word); })) return false;
    for (const name in state.filters) if (state.filters[name] && row.f[name] !== state.filters[name]) return false;
    const low = parseFloat(state.min), high = parseFloat(state.max);
    if (!Number.isNaN(low) && !(row.b !== null && row.b >= low)) return false;
    if (!Number.isNaN(high) && !(row.b !== null && row.b <= high)) return false;
    return true;
  }

  const words = new Intl.Collator("en", { numeric: true });

  function order(a, b) {
    const at = place.get(state.sort);
    const x = data.rows[a].s[at], y = data.rows[b].s[at];
    if (x === null || y === null) return x === y ? a - b : x === null ? 1 : -1; // what is missing stands last either way
    const by = typeof x === "string" ? words.compare(x, y) : x - y;
    return (state.falling ? -by : by) || a - b;
  }

  function showColumns() {
    columns.forEach(function (column, index) {
      const off = column.kind !== "model" && !state.shown.has(column.id);
      head.cells[index].classList.toggle("off", off);
      rows.forEach(function (row) { row.cells[index].classList.toggle("off", off); });
    });
    const told = document.querySelector(".chooser summary");
    told.textContent = "Columns (" + columns.filter(function (c) { return c.kind === "model" || state.shown.has(c.id); }).length + " of " + columns.length + ")";
    const groups = table.tHead.rows.length > 1 ? Array.from(table.tHead.rows[0].cells) : [];
    groups.forEach(function (cell) {
      const from = Number(cell.dataset.from), span = Number(cell.dataset.span);
      const count = columns.slice(from, from + span).filter(function (c) { return c.kind === "model" || state.shown.has(c.id); }).length;
      cell.classList.toggle("off", count === 0);
      cell.colSpan = Math.max(count, 1);
    });
  }

  // Laying out a thousand rows takes a noticeable moment: the next ones follow as the reader comes near them.
  const CHUNK = 150;
  const pane = table.parentElement;
  let waiting = [];

  function more(all) {
    const list = document.createDocumentFragment();
    waiting.splice(0, all ? waiting.length : CHUNK).forEach(function (index) { list.appendChild(rows[index]); });
    body.appendChild(list);
  }

  pane.addEventListener("scroll", function () {
    if (waiting.length && pane.scrollTop + 3 * pane.clientHeight > pane.scrollHeight) more();
  }, { passive: true });
  window.addEventListener("beforeprint", function () { more(true); });

  function showRows() {
    const picked = data.rows.map(function (_, index) { return index; }).filter(wanted).sort(order);
    body.replaceChildren();
    waiting = picked.slice();
    more();
    Array.from(head.cells).forEach(function (cell) {
      if (cell.dataset.column === state.sort) cell.setAttribute("aria-sort", state.falling ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
    document.getElementById("count").textContent = picked.length === rows.length ? rows.length + " rows" : picked.length + " of " + rows.length + " rows";
    document.getElementById("none").hidden = picked.length > 0;
  }

  function fill() {
    search.value = state.q;
    if (bounds.min) { bounds.min.value = state.min; bounds.max.value = state.max; }
    selects.forEach(function (select) { select.value = state.filters[select.dataset.filter] || ""; });
    boxes.forEach(function (box) { box.checked = state.shown.has(box.dataset.column); });
  }

  function changed() {
    const said = address();
    window.history.replaceState(null, "", said ? "#" + said : window.location.pathname + window.location.search);
    showRows();
  }

  head.addEventListener("click", function (event) {
    const cell = event.target.closest("th");
    if (!cell) return;
    const id = cell.dataset.column, column = columns[place.get(id)];
    // The first click puts the best on top: the highest score, the lowest latency, names from A.
    state.falling = state.sort === id ? !state.falling : column.numeric && column.rising;
    state.sort = id;
    changed();
  });
  search.addEventListener("input", function () { state.q = search.value.trim(); changed(); });
  ["min", "max"].forEach(function (name) {
    if (bounds[name]) bounds[name].addEventListener("input", function () { state[name] = bounds[name].value; changed(); });
  });
  selects.forEach(function (select) {
    select.addEventListener("change", function () { state.filters[select.dataset.filter] = select.value; changed(); });
  });
  boxes.forEach(function (box) {
    box.addEventListener("change", function () {
      if (box.checked) state.shown.add(box.dataset.column); else state.shown.delete(box.dataset.column);
      showColumns();
      changed();
    });
  });
  controls.addEventListener("submit", function (event) { event.preventDefault(); });
  document.getElementById("reset").addEventListener("click", function () { state = plainState(); fill(); showColumns(); changed(); });
  const copy = document.getElementById("copy");
  copy.addEventListener("click", function () {
    const done = function (text) { copy.textContent = text; setTimeout(function () { copy.textContent = "Copy link to this view"; }, 2000); };
    if (!navigator.clipboard) { done("The address bar has the link"); return; }
    navigator.clipboard.writeText(window.location.href).then(function () { done("Copied"); }, function () { done("The address bar has the link"); });
  });
  const chooser = controls.querySelector(".chooser");
  document.addEventListener("click", function (event) { if (chooser.open && !chooser.contains(event.target)) chooser.open = false; });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && chooser.open) { chooser.open = false; chooser.querySelector("summary").focus(); }
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); search.focus(); }
  });

  function load() {
    const hash = window.location.hash.slice(1);
    if (!hash || hash.includes("=")) state = read(); // else a section of this page: the view stays
    fill();
    showColumns();
    showRows();
  }
  window.addEventListener("hashchange", load);
  controls.hidden = false;
  document.querySelector(".actions").hidden = false;
  table.setAttribute("aria-rowcount", String(rows.length + table.tHead.rows.length));
  load();
})();
