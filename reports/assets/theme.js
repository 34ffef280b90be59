"use strict";
// Runs before the first paint, so that a chosen theme does not flash.
(function () {
  try {
    var chosen = window.localStorage.getItem("evalkit-theme");
    if (chosen === "light" || chosen === "dark") {
      document.documentElement.dataset.theme = chosen;
    }
  } catch (error) {
    // Storage may be closed to local files; the system's theme then stands.
  }
})();
