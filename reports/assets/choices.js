"use strict";
// The choices of a document as a table: what the model gave each, and which one every metric picks.
const evalkitChoices = (function () {
  function short(value) {
    return value === null ? "–" : value.toFixed(3).replace("-", "−");
  }

  // How each metric picks: by log-likelihood as it is, a character, or a UTF-8 byte. The blank before a choice is none
  // of its characters.
  const PICKS = {
    acc: { unit: "", size: function () { return 1; } },
    acc_norm: { unit: "per character", size: function (text) { return Array.from(text).length; } },
    acc_bytes: { unit: "per byte", size: function (text) { return new TextEncoder().encode(text).length; } },
  };

  function picks(record, answer, entry) {
    const named = Object.keys(answer.m).map(function (key) { return key.split(",")[0]; });
    const primary = entry.metric.split(",")[0];
    const wanted = ["acc", "acc_norm", "acc_bytes"].filter(function (name) { return name === primary || named.includes(name); });
    const values = answer.l.slice(0, record.c.length);
    if (!values.length || values.some(function (value) { return value === null; })) return [];
    const spaced = record.c.every(function (text) { return text.startsWith(" "); });
    return wanted.map(function (name) {
      const rates = record.c.map(function (text, number) {
        const size = PICKS[name].size(spaced ? text.slice(1) : text);
        return size ? values[number] / size : -Infinity;
      });
      return { name: name, rates: rates, at: rates.indexOf(Math.max.apply(null, rates)), value: answer.m[name + ",none"] };
    }).filter(function (pick) { // what does not agree with the recorded value was picked in some other way
      return pick.value === undefined || pick.value === (isGold(record.g, pick.at, record.c[pick.at]) ? 1 : 0);
    });
  }

  // Choices with log-likelihoods; the bar is the choice's share when only these choices are possible. Where the task's
  // metric goes by characters or bytes, its own numbers stand beside, and every metric's choice is marked.
  function draw(make, record, answer, entry) {
    const known = answer.l.slice(0, record.c.length).filter(function (value) { return value !== null; });
    const top = Math.max.apply(null, known);
    const total = known.reduce(function (sum, value) { return sum + Math.exp(value - top); }, 0);
    const found = picks(record, answer, entry);
    const primary = found.find(function (pick) { return pick.name === entry.metric.split(",")[0]; });
    const rate = primary && PICKS[primary.name].unit ? primary : null;
    const table = make("table", "choices");
    table.appendChild(make("caption", "hidden", "Choices with log-likelihoods"));
    const head = make("tr");
    ["Choice", "Log-likelihood"].concat(rate ? [PICKS[rate.name].unit] : [], ["Share"]).forEach(function (name) {
      const cell = make("th", name === "Choice" ? "" : "num", name);
      cell.scope = "col";
      head.appendChild(cell);
    });
    table.appendChild(make("thead")).appendChild(head);
    const body = table.appendChild(make("tbody"));
    record.c.forEach(function (text, number) {
      const value = number < answer.l.length ? answer.l[number] : null;
      const gold = isGold(record.g, number, text);
      const row = make("tr", gold ? "gold" : "");
      const name = make("th");
      name.scope = "row";
      name.appendChild(make("span", "choice", text));
      if (gold) name.appendChild(make("b", "badge best", "target"));
      const by = found.filter(function (pick) { return pick.at === number; }).map(function (pick) { return pick.name; });
      const shown = rate || found.length === 0 ? by : by.filter(function (one) { return primary && one === primary.name; });
      if (shown.length) name.appendChild(make("b", "badge tie", "picked by " + shown.join(", ")));
      else if (!found.length && value !== null && value === top) name.appendChild(make("b", "badge tie", "most likely"));
      row.appendChild(name);
      row.appendChild(make("td", "num", short(value)));
      if (rate) row.appendChild(make("td", "num", short(Number.isFinite(rate.rates[number]) ? rate.rates[number] : null)));
      const share = make("td", "num");
      if (value !== null) {
        const part = Math.exp(value - top) / total;
        const bar = make("span", "bar");
        bar.style.setProperty("--part", (100 * part).toFixed(1) + "%");
        share.appendChild(bar);
        share.appendChild(document.createTextNode((100 * part).toFixed(0) + " %"));
      }
      row.appendChild(share);
      body.appendChild(row);
    });
    return table;
  }

  function isGold(target, number, text) {
    if (typeof target === "number") return target === number;
    if (Array.isArray(target)) {
      // One flag a choice (truthfulqa_mc2), else a list of right indices.
      if (target.length && target.every(function (one) { return typeof one === "number"; })) return target.includes(number);
      return target.some(function (one) { return typeof one === "string" && one.trim() === text.trim(); });
    }
    return typeof target === "string" && target.trim() === text.trim();
  }

  return { draw, short };
})();
