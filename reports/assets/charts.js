"use strict";
// Plots: plotly is opened when the first plot comes into view, and each plot is drawn when it does; paper cannot wait
// for that, so the rest is drawn when the browser has nothing else to do.
(function () {
  const figures = evalkit.json("figures") || [];
  const places = Array.from(document.querySelectorAll(".chart"));
  if (!places.length) return;
  const PAPER = { width: 690, height: 960 }; // pixels that A4 and Letter have between our margins
  let library = null;

  function loadPlotly() {
    if (!library) {
      library = evalkit.text("plotly").then(function (source) {
        const script = document.createElement("script");
        script.textContent = source; // the policy lets it run because it knows its hash
        document.head.appendChild(script);
        if (!window.Plotly) throw new Error("plotly did not start");
        return window.Plotly;
      });
    }
    return library;
  }

  function tone(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  function series(index) {
    return tone("--s" + (index % 8));
  }

  function themed(figure, width) {
    const ink = tone("--ink"), dim = tone("--dim"), line = tone("--line");
    let number = 0;
    const data = figure.data.map(function (trace) {
      const copy = structuredClone(trace);
      // A plot that leaves a run out names each trace's run, so that colours are the same everywhere.
      const colour = trace.neutral ? dim : series("series" in trace ? trace.series : number);
      delete copy.neutral;
      delete copy.series;
      delete copy.ramp;
      if (trace.ramp) {
        copy.colorscale = [[0, tone("--ramp0")], [0.5, tone("--ramp1")], [1, tone("--ramp2")]];
        copy.textfont = { size: 10 };
        copy.colorbar = Object.assign({}, copy.colorbar, { tickfont: { color: dim } });
        copy.showscale = width > 520;
        return copy;
      }
      copy.marker = Object.assign({}, copy.marker, { color: colour });
      if (copy.line) copy.line.color = colour;
      else if (trace.type === "scatterpolar") copy.line = { color: colour };
      if (copy.marker.line) copy.marker.line.color = colour;
      if (copy.error_x) copy.error_x.color = ink;
      if (!trace.neutral) number += 1;
      return copy;
    });
    const axis = { gridcolor: line, zerolinecolor: line, linecolor: line, tickfont: { color: dim }, fixedrange: true, automargin: true };
    const layout = structuredClone(figure.layout);
    const many = data.length > 1;
    return {
      data: data,
      layout: Object.assign({}, layout, {
        autosize: true,
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: "system-ui, sans-serif", size: 12, color: ink },
        margin: layout.polar ? { l: 90, r: 90, t: many ? 100 : 60, b: 30 } : { l: 8, r: 16, t: layout.xaxis && layout.xaxis.side === "top" ? 44 : 12, b: 40 },
        showlegend: many,
        legend: { orientation: "h", y: layout.polar ? 1.12 : 1.02, yanchor: "bottom", x: 0 },
        bargap: 0.32,
        hoverlabel: { bgcolor: tone("--surface"), bordercolor: line, font: { color: ink } },
        xaxis: Object.assign({}, axis, layout.xaxis),
        yaxis: Object.assign({}, axis, layout.yaxis),
        polar: layout.polar && {
          bgcolor: "rgba(0,0,0,0)",
          radialaxis: Object.assign({ gridcolor: line, linecolor: line, tickfont: { color: dim } }, layout.polar.radialaxis),
          angularaxis: { gridcolor: line, linecolor: line },
        },
      }),
    };
  }

  function draw(place) {
    const figure = figures[Number(place.dataset.figure)];
    return loadPlotly().then(function (Plotly) {
      const paper = document.documentElement.dataset.paper;
      const ready = themed(figure, paper ? PAPER.width : place.clientWidth);
      if (paper) {
        ready.layout.autosize = false;
        ready.layout.width = PAPER.width;
        ready.layout.height = Math.min(ready.layout.height || 360, PAPER.height);
      }
      place.dataset.drawn = "yes";
      return Plotly.react(place, ready.data, ready.layout, { displayModeBar: false, responsive: true });
    }).catch(function (error) {
      place.textContent = "This plot could not be drawn (" + error.message + "). The tables have the same numbers.";
    });
  }

  places.forEach(function (place) {
    place.style.minHeight = (figures[Number(place.dataset.figure)].layout.height || 360) + "px";
  });
  const watcher = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (entry.isIntersecting) {
        watcher.unobserve(entry.target);
        draw(entry.target);
      }
    });
  }, { rootMargin: "400px" });
  places.forEach(function (place) { watcher.observe(place); });

  const idle = window.requestIdleCallback || function (call) { window.setTimeout(call, 300); };
  function drawRest() {
    const place = places.find(function (one) { return !one.dataset.drawn; });
    if (!place) return;
    place.dataset.drawn = "asked";
    watcher.unobserve(place);
    draw(place).then(function () { idle(drawRest); });
  }
  window.addEventListener("load", function () { window.setTimeout(function () { idle(drawRest); }, 1500); });

  document.addEventListener("evalkit:theme", function () {
    places.forEach(function (place) { if (place.dataset.drawn === "yes") draw(place); });
  });
})();
