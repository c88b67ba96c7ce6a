// Wakes a page's interactive figures and the button that opens all code. No file from elsewhere.
function wrapped(title) {
  const text = title && (title.text || title);
  if (typeof text !== "string") return title;
  const lines = text.replace(/(.{1,38})(\s+|$)/g, "$1<br>").replace(/<br>$/, "");
  return Object.assign({}, title.text ? title : {}, { text: lines });
}

// Names of columns that would lie over each other stand upright instead.
function uncrowded(axis, width) {
  const names = axis.ticktext || [];
  const letters = names.flatMap((name) => name.split("<br>")).map((line) => line.length);
  const [first, last] = axis.domain || [0, 1];
  const room = (last - first) * width / Math.max(1, names.length);
  if (axis.tickangle || 6.5 * Math.max(0, ...letters) < room) return axis;
  const ticktext = names.map((name) => name.replaceAll("<br>", " "));
  return Object.assign({}, axis, { ticktext, tickangle: -90, automargin: true });
}

function fitted(layout, width) {
  const fit = Object.assign({}, layout, { autosize: true });
  delete fit.width;
  if (width >= 520) return fit;
  for (const name of Object.keys(fit).filter((each) => each.startsWith("xaxis"))) {
    fit[name] = uncrowded(fit[name], width - 100);
  }
  const below = { orientation: "h", x: 0, xanchor: "left", y: -0.22, yanchor: "top" };
  fit.title = wrapped(fit.title);
  fit.legend = Object.assign({}, fit.legend, below);
  fit.margin = Object.assign({}, fit.margin, { l: 46, r: 12 });
  return fit;
}

async function wake(figure) {
  const still = figure.querySelector("img");
  const plot = figure.querySelector(".plot");
  const spec = JSON.parse(figure.querySelector("script").textContent);
  plot.hidden = false;
  try {
    await Plotly.newPlot(plot, {
      data: spec.data,
      layout: fitted(spec.layout || {}, plot.clientWidth),
      frames: spec.frames || [],
      config: Object.assign({ responsive: true, displaylogo: false }, spec.config || {}),
    });
    figure.dataset.drawn = "yes";
    if (still) still.hidden = true;
  } catch {
    plot.hidden = true;
  }
}

document.addEventListener("DOMContentLoaded", () => {
  if (window.Plotly) document.querySelectorAll("figure[data-plotly]").forEach(wake);
  const button = document.getElementById("all-code");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => {
    const open = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", open);
    button.textContent = open ? "Hide code" : "Show code";
    document.querySelectorAll("details.code").forEach((one) => { one.open = open; });
  });
});
