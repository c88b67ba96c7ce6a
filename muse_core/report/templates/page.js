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
  for (const name of Object.keys(fit).filter((each) => each.startsWith("xaxis"))) {
    if (fit[name].title) fit[name] = Object.assign({}, fit[name], { title: wrapped(fit[name].title) });
  }
  const below = { orientation: "h", x: 0, xanchor: "left", y: -0.22, yanchor: "top" };
  fit.title = wrapped(fit.title);
  if (fit.title && fit.title.text) {
    const lines = fit.title.text.split("<br>").length;
    fit.margin = Object.assign({}, fit.margin, { t: Math.max((fit.margin || {}).t || 0, 28 + 19 * lines) });
  }
  fit.legend = Object.assign({}, fit.legend, below);
  fit.margin = Object.assign({}, fit.margin, { l: 46, r: 12 });
  return fit;
}

// The same figure in the colours of a dark page, if this one is dark.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function shaded(text) {
  if (!dark.matches) return text;
  const colours = JSON.parse(document.getElementById("dark").textContent);
  for (const [light, other] of Object.entries(colours)) text = text.replaceAll(light, other);
  return text;
}

// What a figure shows as a table: a line for each point of each series, or each cell.
function asTable(plot) {
  const lines = [["panel", "series", "x", "y", "z", "below", "above"]];
  for (const trace of plot._fullData) {
    const panel = (trace.xaxis || "x").slice(1) || "1", name = trace.name || "";
    if (trace.z) {
      trace.z.forEach((row, i) => Array.from(row).forEach((value, k) => {
        lines.push([panel, name, (trace.x || [])[k] ?? k, (trace.y || [])[i] ?? i, value, "", ""]);
      }));
      continue;
    }
    const bars = [trace.error_y, trace.error_x].find((each) => each && each.array) || {};
    const x = Array.from(trace.x || []), y = Array.from(trace.y || []);
    x.forEach((at, i) => {
      const gap = (value) => value === null || value !== value; // also not-a-number
      if (gap(at) || gap(y[i])) return;
      lines.push([panel, name, at, y[i], "", bars.arrayminus?.[i] ?? "", bars.array?.[i] ?? ""]);
    });
  }
  const cell = (value) => {
    const text = String(value ?? "").replaceAll("<br>", " ");
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return lines.map((line) => line.map(cell).join(",")).join("\n") + "\n";
}

function saved(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function copied(button, text) {
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = text;
  }
  setTimeout(() => { button.textContent = words; }, 2500);
}

// Below each named figure: the command that makes it, and its numbers.
function equip(figure) {
  const tools = document.createElement("div"), command = document.getElementById("command");
  const add = (words, title, act) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: words, title });
    button.addEventListener("click", () => act(button));
    tools.append(button);
  };
  tools.className = "tools";
  if (command) {
    add("copy command", "The command that makes this figure", (it) => copied(it, command.textContent));
  }
  if (figure.dataset.plotly) {
    const plot = figure.querySelector(".plot");
    add("data as CSV", "The numbers of this figure", () => {
      if (plot._fullData) saved(`${figure.dataset.name}.csv`, asTable(plot));
    });
  }
  if (tools.children.length) figure.append(tools);
}

async function wake(figure) {
  const still = figure.querySelector("img");
  const plot = figure.querySelector(".plot");
  const spec = JSON.parse(shaded(figure.querySelector("script").textContent));
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

// What is wider than the page says so.
function hint(wide) {
  if (wide.scrollWidth <= wide.clientWidth + 4) return;
  const words = document.createElement("p");
  Object.assign(words, { className: "hint", textContent: "scroll sideways for more →" });
  wide.before(words);
}

// A formula inside a sentence that is wider than the page gets a line of its own, which scrolls.
function ownLine(formula) {
  if (formula.getBoundingClientRect().right <= document.documentElement.clientWidth) return;
  if (formula.closest(".equation")) return;
  const line = document.createElement("span");
  line.className = "equation";
  formula.replaceWith(line);
  line.append(formula);
}

document.addEventListener("DOMContentLoaded", () => {
  const figures = document.querySelectorAll("figure[data-plotly]");
  if (window.Plotly) {
    figures.forEach(wake);
    dark.addEventListener("change", () => figures.forEach(wake));
  }
  document.querySelectorAll("figure[data-name]").forEach(equip);
  document.querySelectorAll("math").forEach(ownLine);
  document.querySelectorAll('.muse-images .rows, .scroll, [role="region"], .html, table, .equation').forEach(hint);
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
