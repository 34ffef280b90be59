"use strict";
// The theme switch, and everything unfolded on paper.
(function () {
  const button = document.getElementById("theme");
  const names = { auto: "as the system", light: "light", dark: "dark" };
  const order = ["auto", "light", "dark"];

  function tell() {
    document.dispatchEvent(new CustomEvent("evalkit:theme"));
  }

  function apply(theme) {
    document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-label", "Colour theme: " + names[theme]);
    button.title = "Colour theme: " + names[theme];
    try {
      window.localStorage.setItem("evalkit-theme", theme);
    } catch (error) {
      // Without storage the choice lasts as long as the page.
    }
    tell();
  }

  button.hidden = false;
  button.title = button.getAttribute("aria-label");
  button.addEventListener("click", function () {
    const now = document.documentElement.dataset.theme || "auto";
    apply(order[(order.indexOf(now) + 1) % order.length]);
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);

  // The column chooser of a board is a menu, not a text.
  let folded = [], chosen = "auto";
  window.addEventListener("beforeprint", function () {
    folded = Array.from(document.querySelectorAll("details:not([open]):not(.chooser)"));
    folded.forEach(function (details) { details.open = true; });
    chosen = document.documentElement.dataset.theme || "auto";
    document.documentElement.dataset.theme = "light";
    document.documentElement.dataset.paper = "yes";
    tell();
  });
  window.addEventListener("afterprint", function () {
    folded.forEach(function (details) { details.open = false; });
    document.documentElement.dataset.theme = chosen;
    delete document.documentElement.dataset.paper;
    tell();
  });
})();
