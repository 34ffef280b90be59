"use strict";
// Every figure in its place, in the page's own colours; again when the system's theme changes.
(function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const places = document.querySelectorAll(".interactive");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function draw() {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
    figures.forEach(function (figure, number) {
      const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
      const above = { t: figure.layout.xaxis && figure.layout.xaxis.side === "top" ? 60 : 36, l: 8, r: 16, b: 48 };
      const layout = Object.assign({}, figure.layout, {
        title: undefined, // it stands above, where it can wrap
        margin: above,
        height: figure.layout.height - 80,
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: "system-ui, sans-serif", size: 12, color: ink },
        xaxis: Object.assign({}, axis, figure.layout.xaxis),
        yaxis: Object.assign({}, axis, figure.layout.yaxis),
      });
      window.Plotly.react(places[number], figure.data, layout, { responsive: true, displaylogo: false });
      places[number].dataset.drawn = "yes";
    });
  }

  dark.addEventListener("change", draw);
  draw();
})();
