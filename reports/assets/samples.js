"use strict";
// The sample browser. All text reaches the page as text nodes; nothing from the data becomes markup.
(function () {
  let manifest = evalkit.json("manifest");
  const root = document.getElementById("browser");
  if (!manifest || !root) return;
  const get = function (id) { return document.getElementById(id); };
  const list = get("b-list"), detail = get("b-detail"), count = get("b-count");
  const task = get("b-task"), left = get("b-left"), right = get("b-right"), show = get("b-show"), search = get("b-search");
  const PAGE = 50;
  const WORDS = { r: "right", w: "wrong", s: "scored", u: "unscored", e: "error", "-": "not run" };
  const MARKS = { r: "✓", w: "✗", s: "•", u: "?", e: "!", "-": "–" };
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;
  const state = { index: null, matches: [], page: 0, selected: -1, turn: 0, unfolded: new Set() };

  function chunkId(entry, number) {
    const chunk = Math.floor(number / entry.size);
    return entry.chunks ? entry.chunks[chunk] : "c" + manifest.tasks.indexOf(entry) + "-" + chunk;
  }

  function visible(text) {
    return String(text).replace(HIDDEN, function (mark) {
      return "⟨U+" + mark.codePointAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩";
    });
  }

  function make(tag, className, text) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined && text !== null) element.textContent = visible(text);
    return element;
  }

  function option(select, value, text) {
    const element = make("option", "", text);
    element.value = value;
    select.appendChild(element);
  }

  function outcome(letter) {
    const element = make("span", "mark m-" + (letter === "-" ? "x" : letter), MARKS[letter]);
    element.title = WORDS[letter];
    element.appendChild(make("span", "hidden", " " + WORDS[letter]));
    return element;
  }

  function shownRuns() {
    const runs = [Number(left.value)];
    if (right.value !== "") runs.push(Number(right.value));
    return runs;
  }

  function fillControls() {
    fillTasks();
    manifest.runs.forEach(function (label, number) {
      option(left, number, label);
    });
    option(right, "", "none");
    manifest.runs.forEach(function (label, number) { option(right, number, label); });
    if (manifest.runs.length > 1) right.value = "1";
    document.querySelectorAll(".pair").forEach(function (label) { label.hidden = manifest.runs.length < 2; });
    fillShow();
  }

  function fillTasks() {
    const kept = task.value;
    task.textContent = "";
    manifest.tasks.forEach(function (entry, number) {
      option(task, number, entry.name + " (" + entry.n.toLocaleString("en") + ")");
    });
    if (kept) task.value = kept;
  }

  function fillShow() {
    const kept = show.value;
    show.textContent = "";
    option(show, "", "all documents");
    option(show, "r", "right");
    option(show, "w", "wrong");
    if (right.value !== "" && right.value !== left.value) {
      option(show, "flip", "flipped, either way");
      option(show, "gain", "wrong, then right beside");
      option(show, "lose", "right, then wrong beside");
    }
    option(show, "eu", "errors and unscored");
    if (Array.from(show.options).some(function (item) { return item.value === kept; })) show.value = kept;
  }

  function keeps(code) {
    const a = code[Number(left.value)], b = right.value === "" ? a : code[Number(right.value)];
    switch (show.value) {
      case "": return true;
      case "flip": return (a === "r" && b === "w") || (a === "w" && b === "r");
      case "gain": return a === "w" && b === "r";
      case "lose": return a === "r" && b === "w";
      case "eu": return a === "e" || a === "u" || b === "e" || b === "u";
      default: return a === show.value;
    }
  }

  async function item(number) {
    const entry = manifest.tasks[Number(task.value)];
    const chunk = await evalkit.unpack(chunkId(entry, number));
    return { shared: chunk.shared, record: chunk.items[number % entry.size] };
  }

  function haystack(shared, record) {
    const words = [record.p, record.g === null ? "" : JSON.stringify(record.g), record.c.join("\n"), record.h];
    record.r.forEach(function (answer) { if (answer) words.push(answer.o.join("\n"), answer.p || "", answer.e || ""); });
    return words.join("\n").toLowerCase();
  }

  // Filters by the index alone; a search opens the task's chunks one after the other and lets the page breathe.
  async function refresh(keep) {
    const turn = ++state.turn;
    const entry = manifest.tasks[Number(task.value)];
    const index = await evalkit.unpack(entry.index);
    if (turn !== state.turn) return;
    state.index = index;
    const needle = search.value.trim().toLowerCase();
    let matches = [];
    for (let i = 0; i < index.codes.length; i += 1) if (keeps(index.codes[i])) matches.push(i);
    if (needle && evalkit.find) {
      const held = new Set(await evalkit.find(Number(task.value), needle));
      matches = matches.filter(function (number) { return held.has(number); });
    } else if (needle) {
      const found = [];
      let opened = -1;
      for (const number of matches) {
        const here = Math.floor(number / entry.size);
        const both = await item(number);
        if (turn !== state.turn) return;
        if (here !== opened) {
          opened = here;
          count.textContent = "Searching " + Math.round((100 * number) / index.codes.length) + " %";
          await new Promise(function (resume) { setTimeout(resume); });
        }
        if (haystack(both.shared, both.record).includes(needle)) found.push(number);
      }
      matches = found;
    }
    if (turn !== state.turn) return;
    state.matches = matches;
    state.page = keep === true ? Math.min(state.page, Math.max(0, Math.ceil(matches.length / PAGE) - 1)) : 0;
    const total = index.codes.length.toLocaleString("en");
    const all = entry.of > entry.n ? ", the first of " + entry.of.toLocaleString("en") : "";
    count.textContent = matches.length.toLocaleString("en") + " of " + total + " documents" + all;
    await drawList();
  }

  // Titles lie in the index, or where items come from a server, in their chunks.
  async function titlesOf(numbers) {
    if (state.index.titles) return numbers.map(function (number) { return state.index.titles[number]; });
    const items = await Promise.all(numbers.map(item));
    const folded = manifest.tasks[Number(task.value)].folded;
    return items.map(function (both) { return folded ? "Document " + both.record.id : both.record.n; });
  }

  async function drawList() {
    const from = state.page * PAGE;
    const runs = shownRuns();
    const numbers = state.matches.slice(from, from + PAGE);
    const turn = state.turn;
    const titles = await titlesOf(numbers);
    if (turn !== state.turn || from !== state.page * PAGE) return;
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.number : "";
    list.textContent = "";
    list.start = from + 1;
    numbers.forEach(function (number, place) {
      const row = make("li");
      const button = make("button", "row");
      button.type = "button";
      button.dataset.number = number;
      const marks = make("span", "marks");
      runs.forEach(function (run) { marks.appendChild(outcome(state.index.codes[number][run])); });
      button.appendChild(marks);
      button.appendChild(make("span", "title", titles[place] || "(empty)"));
      if (number === state.selected) button.setAttribute("aria-current", "true");
      button.addEventListener("click", function () { select(number, true); });
      row.appendChild(button);
      list.appendChild(row);
    });
    const back = focused && list.querySelector('button[data-number="' + focused + '"]');
    if (back) back.focus({ preventScroll: true });
    const pages = Math.max(1, Math.ceil(state.matches.length / PAGE));
    get("b-page").textContent = "page " + (state.page + 1) + " of " + pages;
    get("b-prev").disabled = state.page === 0;
    get("b-next").disabled = state.page >= pages - 1;
  }

  async function select(number, focus) {
    state.selected = number;
    list.querySelectorAll("button").forEach(function (button) {
      if (Number(button.dataset.number) === number) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    const both = await item(number);
    if (state.selected !== number) return;
    const entry = manifest.tasks[Number(task.value)];
    if (entry.folded && !state.unfolded.has(entry.name)) drawFold(entry, both);
    else drawDetail(both.shared, both.record);
    try {
      window.history.replaceState(null, "", "#sample-" + task.value + "-" + number);
    } catch (error) {
      // Some browsers forbid it for local files; only the permanent link is lost.
    }
    if (focus && window.matchMedia("(max-width: 60rem)").matches) {
      detail.focus({ preventScroll: true });
      detail.scrollIntoView({ block: "start" });
    }
  }

  function textBlock(title, text, shared) {
    const part = make("section", "part");
    part.appendChild(make("h4", "", title));
    if (shared) {
      const fold = make("details", "fold");
      fold.appendChild(make("summary", "", "Examples shared by the prompts around it, " + shared.length.toLocaleString("en") + " characters"));
      fold.appendChild(make("pre", "text", shared));
      part.appendChild(fold);
    }
    part.appendChild(make("pre", "text", text));
    return part;
  }

  function drawDetail(shared, record) {
    const entry = manifest.tasks[Number(task.value)];
    detail.textContent = "";
    const head = make("header");
    head.appendChild(make("h3", "", entry.name + " · document " + record.id));
    head.appendChild(make("code", "dim", record.h));
    detail.appendChild(head);
    if (record.ps) record.ps.forEach(function (text, number) { detail.appendChild(textBlock("Prompt " + (number + 1), text)); });
    else detail.appendChild(textBlock("Prompt", record.p, shared));
    if (record.i) detail.appendChild(pictures(record.i));
    if (record.g !== null) detail.appendChild(textBlock("Target", targetText(record)));
    const answers = make("div", "answers");
    shownRuns().forEach(function (run) { answers.appendChild(drawAnswer(record, run, entry)); });
    detail.appendChild(answers);
  }

  // Pictures come written anew, as data; anything else is not taken for one.
  function pictures(urls) {
    const part = make("section", "part");
    part.appendChild(make("h4", "", urls.length > 1 ? "Pictures, in the prompt's order" : "Picture"));
    const frame = part.appendChild(make("div", "pictures"));
    let missing = 0;
    urls.forEach(function (url, number) {
      if (!/^data:image\/(png|jpeg);base64,[A-Za-z0-9+\/]+=*$/.test(url)) { missing += 1; return; }
      const image = frame.appendChild(document.createElement("img"));
      image.src = url;
      image.alt = "Picture " + (number + 1) + " of the prompt";
    });
    if (missing) part.appendChild(make("p", "dim", missing + " not shown here: the run's samples folder may have " + (missing > 1 ? "them" : "it")));
    return part;
  }

  // Items that may harm or offend stay folded until a reader asks for those of the task.
  function drawFold(entry, both) {
    detail.textContent = "";
    const head = make("header");
    head.appendChild(make("h3", "", entry.name + " · document " + both.record.id));
    detail.appendChild(head);
    detail.appendChild(make("p", "", "The items of this task may be harmful or offensive: unsafe requests, insults, stereotypes. What the numbers say needs none of them."));
    const button = make("button", "", "Show the items of " + entry.name);
    button.type = "button";
    button.addEventListener("click", function () {
      state.unfolded.add(entry.name);
      drawDetail(both.shared, both.record);
      detail.focus({ preventScroll: true });
    });
    detail.appendChild(button);
  }

  function targetText(record) {
    const choice = typeof record.g === "number" ? record.c[record.g] : undefined;
    return choice === undefined ? plain(record.g) : choice.trim() + "  (choice " + (record.g + 1) + ")";
  }

  function plain(value) {
    if (typeof value === "string") return value;
    if (Array.isArray(value) && value.every(function (one) { return typeof one === "string"; })) return value.join("\n");
    return JSON.stringify(value, null, 1);
  }

  function drawAnswer(record, run, entry) {
    const part = make("section", "answer");
    const title = make("h4");
    title.appendChild(make("span", "key s" + (run % 8)));
    title.appendChild(document.createTextNode(visible(manifest.runs[run]) + " "));
    part.appendChild(title);
    const answer = record.r[run];
    if (!answer) {
      part.appendChild(make("p", "dim", "This run does not have the document."));
      return part;
    }
    const scores = Object.keys(answer.m).map(function (name) {
      return name.replace(/,none$/, "") + " " + Number(answer.m[name].toPrecision(4));
    });
    part.appendChild(make("p", "scores", [answer.s === "ok" ? "" : answer.s].concat(scores).filter(Boolean).join(" · ")));
    if (answer.e) part.appendChild(make("p", "problem", answer.e));
    if (answer.t) part.appendChild(make("p", "problem", answer.t.toLocaleString("en") + " prompt tokens were dropped to fit the context window"));
    if (answer.p) part.appendChild(textBlock("Its own prompt (it differs)", answer.p));
    if (record.c.length) part.appendChild(evalkitChoices.draw(make, record, answer, entry));
    else if (answer.l.some(function (value) { return value !== null; })) {
      part.appendChild(make("p", "scores", "log-likelihood " + answer.l.filter(function (value) { return value !== null; }).map(evalkitChoices.short).join(", ")));
    }
    answer.o.forEach(function (text, number) {
      const name = answer.o.length > 1 ? "Response " + (number + 1) : "Response";
      part.appendChild(textBlock(answer.z ? name + " (ended by " + answer.z + ")" : name, text));
    });
    if (answer.f) part.appendChild(textBlock("After filters", plain(answer.f)));
    if (answer.x) {
      const fold = part.appendChild(make("details", "fold"));
      fold.appendChild(make("summary", "", "Further values of this document"));
      fold.appendChild(make("pre", "text", plain(answer.x)));
    }
    return part;
  }

  async function turnPage(step) {
    state.page += step;
    await drawList();
    const first = list.querySelector("button");
    if (first) first.focus();
  }

  async function openFromAddress() {
    const match = /^#sample-(\d{1,6})-(\d{1,9})$/.exec(window.location.hash);
    if (!match || Number(match[1]) >= manifest.tasks.length) return;
    task.value = match[1];
    show.value = "";
    search.value = "";
    await refresh();
    const number = Number(match[2]);
    if (number < state.index.codes.length) {
      state.page = Math.floor(number / PAGE);
      await drawList();
      await select(number, false);
      get("samples").scrollIntoView();
    }
  }

  fillControls();
  const none = make("p", "dim", "There are no samples.");
  root.parentElement.appendChild(none);
  none.hidden = manifest.tasks.length > 0;
  root.hidden = !none.hidden;
  let waiting = 0;
  search.addEventListener("input", function () {
    clearTimeout(waiting);
    waiting = setTimeout(function () { refresh(); }, 250);
  });
  [task, show].forEach(function (control) { control.addEventListener("change", function () { refresh(); }); });
  [left, right].forEach(function (control) {
    control.addEventListener("change", function () {
      fillShow();
      refresh();
      if (state.selected >= 0) select(state.selected, false);
    });
  });
  task.addEventListener("change", function () { state.selected = -1; detail.textContent = ""; list.textContent = ""; });
  get("controls").addEventListener("submit", function (event) { event.preventDefault(); });
  get("b-prev").addEventListener("click", function () { turnPage(-1); });
  get("b-next").addEventListener("click", function () { turnPage(1); });
  list.addEventListener("keydown", function (event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const rows = Array.from(list.querySelectorAll("button"));
    const next = rows[rows.indexOf(document.activeElement) + step];
    if (next) {
      event.preventDefault();
      next.focus();
      select(Number(next.dataset.number), false);
    }
  });
  document.addEventListener("keydown", function (event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    }
  });
  // More samples came (evalkit view): what the reader looks at stays where it is.
  document.addEventListener("evalkit:samples", function () {
    manifest = evalkit.json("manifest");
    evalkit.forget();
    fillTasks();
    none.hidden = manifest.tasks.length > 0;
    root.hidden = !none.hidden;
    if (manifest.tasks.length) refresh(true);
  });
  window.addEventListener("hashchange", openFromAddress);
  if (manifest.tasks.length) refresh().then(openFromAddress);
})();
