"use strict";
// Search where the pages are opened as files: browsers start no worker there, and the theme's own search needs one. The
// index lies beside the site as a script (scripts/docs_hooks.py). On a server this does nothing.
(function () {
  if (window.location.protocol !== "file:") return;
  const MOST = 12, AROUND = 90;
  const base = JSON.parse(document.getElementById("__config").textContent).base;

  function make(tag, className, text) {
    const element = document.createElement(tag);
    element.className = className;
    if (text) element.textContent = text;
    return element;
  }

  function plain(html) {
    return new DOMParser().parseFromString(html, "text/html").body.textContent.replace(/\s+/g, " ").trim();
  }

  // Every word must be there; a word in the title weighs more than many in the text.
  function found(pages, words) {
    return pages.map(function (page) {
      let score = 0;
      for (const word of words) {
        const inTitle = page.low.title.includes(word), times = page.low.text.split(word).length - 1;
        if (!inTitle && !times) return null;
        score += (inTitle ? 20 : 0) + Math.min(times, 5);
      }
      return { page: page, score: score };
    }).filter(Boolean).sort(function (a, b) { return b.score - a.score; });
  }

  function excerpt(page, words) {
    const at = Math.max(0, page.low.text.indexOf(words[0]));
    const from = Math.max(0, at - AROUND), text = page.text.slice(from, at + 2 * AROUND);
    return (from ? "…" : "") + text + (at + 2 * AROUND < page.text.length ? "…" : "");
  }

  function show(pages, query) {
    const result = document.querySelector("[data-md-component=search-result]");
    const meta = result.querySelector(".md-search-result__meta"), list = result.querySelector(".md-search-result__list");
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const hits = words.length ? found(pages, words) : [];
    meta.textContent = !words.length ? "Type to search" : hits.length === 1 ? "1 place" : hits.length + " places";
    list.replaceChildren.apply(list, hits.slice(0, MOST).map(function (hit) {
      const item = make("li", "md-search-result__item"), link = make("a", "md-search-result__link");
      link.href = base + "/" + hit.page.location;
      const article = make("article", "md-search-result__article md-typeset");
      article.append(make("h1", "", hit.page.title), make("p", "", excerpt(hit.page, words)));
      link.append(article);
      item.append(link);
      return item;
    }));
  }

  function begin() {
    const pages = window.evalkitSearch.docs.map(function (doc) {
      const title = plain(doc.title), text = plain(doc.text);
      return { location: doc.location, title: title, text: text, low: { title: title.toLowerCase(), text: text.toLowerCase() } };
    });
    document.querySelectorAll("[data-md-component=search], label[for=__search]").forEach(function (part) {
      part.hidden = false; // the theme hides what it could not start
    });
    // A field of our own in the place of the theme's, whose listeners wait for its worker.
    const theirs = document.querySelector("[data-md-component=search-query]"), field = theirs.cloneNode();
    theirs.replaceWith(field);
    field.addEventListener("input", function () { show(pages, field.value); });
    field.addEventListener("focus", function () {
      document.getElementById("__search").checked = true;
      show(pages, field.value);
    });
    field.form.addEventListener("reset", function () { window.setTimeout(function () { show(pages, ""); }); });
    field.form.addEventListener("submit", function (event) { event.preventDefault(); });
  }

  window.addEventListener("load", function () {
    const script = document.createElement("script");
    script.src = base + "/search/search_index.js";
    script.addEventListener("load", begin);
    document.head.append(script);
  });
})();
