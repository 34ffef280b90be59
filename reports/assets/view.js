"use strict";
// A page of evalkit view keeps itself up to date: when the server says that something changed, the page is asked for
// again and its live parts take the place of the old ones. What was marked and where the reader is stays.
(function () {
  const address = document.body.dataset.events;
  const told = document.getElementById("link-state");
  if (!address || !window.EventSource) return;
  const seen = new Map();
  let busy = false, again = false;

  async function renew() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const response = await window.fetch(window.location.pathname + window.location.search, { credentials: "same-origin" });
      if (!response.ok) return;
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
      document.querySelectorAll("[data-live]").forEach(function (old) {
        const next = fresh.getElementById(old.id);
        if (!next || next.innerHTML === seen.get(old.id)) return;
        const marked = new Set(Array.from(old.querySelectorAll("input:checked"), function (box) { return box.value; }));
        const focus = old.contains(document.activeElement) ? document.activeElement : null;
        const chosen = old.querySelector("select"), kept = chosen && chosen.value;
        seen.set(old.id, next.innerHTML);
        old.replaceChildren.apply(old, Array.from(next.childNodes));
        old.querySelectorAll("input[type=checkbox]").forEach(function (box) { box.checked = marked.has(box.value); });
        if (kept && old.querySelector("select")) old.querySelector("select").value = kept;
        if (focus) {
          const same = Array.from(old.querySelectorAll(focus.tagName)).find(function (one) {
            return one.getAttribute("href") === focus.getAttribute("href") && one.value === focus.value && one.id === focus.id;
          });
          if (same) same.focus({ preventScroll: true });
        }
      });
      const data = fresh.getElementById("manifest"), mine = document.getElementById("manifest");
      if (data && mine) {
        mine.textContent = data.textContent;
        document.dispatchEvent(new CustomEvent("evalkit:samples"));
      }
    } catch (error) {
      // The server is gone or busy: the event source tells when it is back.
    } finally {
      busy = false;
      if (again) { again = false; renew(); }
    }
  }

  const source = new EventSource(address);
  source.addEventListener("changed", renew);
  source.addEventListener("open", function () { told.textContent = ""; });
  source.addEventListener("error", function () { told.textContent = "Not connected: evalkit view has ended, or is busy."; });
  window.addEventListener("pagehide", function () { source.close(); });
})();
