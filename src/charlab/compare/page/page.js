// Shows and hides cells, switches the horizontal axis and the theme, sorts tables.
"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isTouched = matchMedia("(pointer: coarse)").matches;
  const config = {
    displaylogo: false,
    responsive: true,
    displayModeBar: isTouched ? false : "hover",
    modeBarButtons: [["toImage", "resetScale2d"]],
  };
  // the width of A4 and of Letter, but for their margins
  const PAPER_PX = 680;
  const hidden = new Set();
  let axis = "step";
  let isPrinting = false;
  let pass = 0;

  // a page from file:// may have no storage
  function stored() {
    try { return localStorage.getItem("charlab-theme"); } catch { return null; }
  }
  function store(theme) {
    try { localStorage.setItem("charlab-theme", theme); } catch { /* it is asked again */ }
  }
  function isDark() {
    if (isPrinting) return false;
    return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  }

  // a copy, as Plotly writes into what it is given; figures come in the colours of the light theme
  function coloured(value) {
    if (typeof value === "string") return isDark() ? page.partners[value] ?? value : value;
    if (Array.isArray(value)) return typeof value[0] === "number" ? [...value] : value.map(coloured);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
  }
  function isShown(trace) {
    return !(trace.meta.cells ?? []).some((cell) => hidden.has(cell));
  }
  function placed(trace, grids) {
    const x = grids[trace.meta.grid][axis];
    return trace.fill ? [...x, ...x.toReversed()] : x;
  }
  // the points that no other beats in both, from left to right
  function front(traces) {
    const points = traces
      .filter((trace) => trace.meta.cells.length === 1 && trace.visible)
      .map((trace) => [trace.x[0], trace.y[0]])
      .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let best = Infinity;
    return points.filter(([, y]) => y < best && (best = y, true));
  }

  function draw(plot) {
    const figure = page.figures[plot.id];
    const layout = { ...coloured(figure.layout), uirevision: axis, dragmode: isTouched ? false : "zoom" };
    const { grids, titles } = figure.layout.meta ?? {};
    const traces = figure.data.map((trace) => {
      const shown = { ...coloured(trace), visible: isShown(trace) };
      return "grid" in trace.meta ? { ...shown, x: placed(trace, grids) } : shown;
    });
    for (const trace of traces.filter((one) => one.meta.front)) {
      const points = front(traces);
      trace.x = points.map(([x]) => x);
      trace.y = points.map(([, y]) => y);
    }
    if (isPrinting) layout.width = Math.min(plot.clientWidth, PAPER_PX);
    if (titles) layout.xaxis.title.text = titles[axis];
    return Plotly.react(plot, traces, layout, config);
  }
  // one after another, so that a page of many figures stays awake
  async function drawAll() {
    const mine = ++pass;
    delete root.dataset.drawn;
    for (const plot of plots) {
      await draw(plot);
      await new Promise((done) => setTimeout(done));
      if (mine !== pass) return;
    }
    root.dataset.drawn = "yes";
  }

  function showCells() {
    for (const one of document.querySelectorAll("[data-cell]")) {
      const isOff = hidden.has(Number(one.dataset.cell));
      if (one.matches("button")) one.setAttribute("aria-pressed", String(!isOff));
      else one.classList.toggle("off", isOff);
    }
    drawAll();
  }
  function sort(button) {
    const table = button.closest("table");
    const order = button.dataset.sorted === "up" ? "down" : "up";
    for (const other of table.querySelectorAll("[data-sorted]")) delete other.dataset.sorted;
    button.dataset.sorted = order;
    const column = Number(button.dataset.column);
    const sign = order === "up" ? 1 : -1;
    const body = table.tBodies[0];
    const compared = (a, b) => {
      const [one, two] = [a.cells[column], b.cells[column]];
      if (column === 0) return sign * one.textContent.localeCompare(two.textContent);
      // without a number: last, both ways
      if (!("number" in one.dataset) || !("number" in two.dataset)) {
        return ("number" in two.dataset) - ("number" in one.dataset);
      }
      return sign * (one.dataset.number - two.dataset.number);
    };
    body.append(...[...body.rows].sort(compared));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("cell" in button.dataset) {
      const cell = Number(button.dataset.cell);
      if (!hidden.delete(cell)) hidden.add(cell);
      showCells();
    } else if ("all" in button.dataset) {
      for (const chip of button.closest(".chips").querySelectorAll(".chip")) {
        const cell = Number(chip.dataset.cell);
        if (button.dataset.all === "hide") hidden.add(cell);
        else hidden.delete(cell);
      }
      showCells();
    } else if ("axis" in button.dataset) {
      axis = button.dataset.axis;
      for (const one of document.querySelectorAll("[data-axis]")) {
        one.setAttribute("aria-pressed", String(one.dataset.axis === axis));
      }
      drawAll();
    } else if ("column" in button.dataset) {
      sort(button);
    } else if (button.id === "theme") {
      root.dataset.theme = isDark() ? "light" : "dark";
      store(root.dataset.theme);
      drawAll();
    }
  });
  system.addEventListener("change", drawAll);
  addEventListener("beforeprint", () => { isPrinting = true; pass++; plots.forEach(draw); });
  addEventListener("afterprint", () => { isPrinting = false; drawAll(); });

  if (["light", "dark"].includes(stored())) root.dataset.theme = stored();
  drawAll();
})();
