// The attention explorer: one source for JupyterLab (anywidget) and for exported pages. No library, no request.

const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const DIVERGING = ["#2166ac", "#67a9cf", "#d1e5f0", "#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b"];

const CSS = `
.muse-explorer{font:14px/1.4 system-ui,sans-serif;color:inherit;max-width:62rem}
.muse-explorer .images{display:flex;flex-wrap:wrap;gap:.4rem;margin:0 0 .7rem}
.muse-explorer .images button{padding:2px;border:2px solid transparent;border-radius:6px;background:none;cursor:pointer;line-height:0}
.muse-explorer button[aria-pressed=true]{border-color:#0b7285}
.muse-explorer .images .add{line-height:1.4;height:60px;padding:0 .8rem;border:1px dashed currentColor;border-radius:6px;background:none;color:inherit;cursor:pointer;font:inherit}
.muse-explorer .images img{width:56px;height:56px;object-fit:cover;border-radius:4px;image-rendering:pixelated}
.muse-explorer .controls{display:flex;flex-wrap:wrap;gap:.45rem 1.1rem;align-items:center;margin:0 0 .8rem}
.muse-explorer label{display:flex;flex-wrap:wrap;gap:.4rem;align-items:center;max-width:100%}
.muse-explorer input[type=range]{width:7.5rem}
.muse-explorer select,.muse-explorer input[type=text]{font:inherit;max-width:100%}
.muse-explorer [hidden]{display:none!important}
.muse-explorer output{min-width:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.muse-explorer .panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:0 .8rem}
.muse-explorer figure{display:grid;grid-row:span 4;grid-template:subgrid/minmax(0,1fr);margin:0 0 .8rem;padding:0;border:0;background:none;min-width:0;color-scheme:inherit}
.muse-explorer figcaption{font-size:.9em;min-height:2.8em;min-width:0;overflow-wrap:anywhere;margin:0 0 .2rem;display:flex;align-items:flex-end}
.muse-explorer canvas.map{width:100%;border-radius:4px;cursor:crosshair;display:block;touch-action:manipulation}
.muse-explorer canvas:focus-visible,.muse-explorer button:focus-visible{outline:3px solid #0b7285;outline-offset:2px}
.muse-explorer .legend{display:flex;gap:.4rem;align-items:center;font-size:.8em;font-variant-numeric:tabular-nums;margin-top:.25rem}
.muse-explorer .legend canvas{flex:1 1 0;min-width:0;height:8px;border-radius:2px}
.muse-explorer .legend{grid-row:3}
.muse-explorer .value{grid-row:4;font-size:.8em;min-height:1.4em;font-variant-numeric:tabular-nums}
.muse-explorer .says,.muse-explorer .message{margin:.7rem 0 0;font-size:.9em;min-height:1.4em;overflow-wrap:anywhere}
.muse-explorer .message{margin:0;min-height:0}
.muse-explorer .heads{margin:.8rem 0 0}
.muse-explorer .heads div{display:grid;gap:3px;width:max-content;max-width:100%;overflow-x:auto;align-items:center;font-size:.8em;margin-top:.4rem}
.muse-explorer .heads button{padding:1px;border:2px solid transparent;border-radius:4px;background:none;cursor:pointer;line-height:0}
.muse-explorer .heads canvas{width:34px;height:34px;image-rendering:pixelated;border-radius:2px}
.muse-explorer .routes{overflow-x:auto}
.muse-explorer table{border-collapse:collapse;margin:0 0 .8rem;font-size:.88em;font-variant-numeric:tabular-nums}
.muse-explorer th,.muse-explorer td{padding:.25rem .6rem;text-align:right;border:1px solid rgba(128,128,128,.3);font-weight:400;white-space:nowrap}
.muse-explorer summary{cursor:pointer}
.muse-explorer dl{margin:.4rem 0 0;font-size:.9em;display:grid;grid-template-columns:max-content 1fr;gap:.15rem .8rem}
.muse-explorer dt{font-weight:600}
.muse-explorer dd{margin:0}
@media (max-width:30rem){.muse-explorer dl{grid-template-columns:1fr}.muse-explorer .panels{grid-template-columns:repeat(2,minmax(0,1fr))}}
.muse-explorer button.link{font:inherit;cursor:pointer}`;

const DEFAULTS = {mode: "attention", image: 0, patch: null, locked: false, layer: -1, head: -1, stage: -1, teacher: 0, comparison: 0,
  word: 0, loss: 0, keys: false, opacity: 0.85, scale: "pair"};
const MODES = {
  attention: "attention",
  rollout: "attention through all layers",
  pca: "features as colours",
  cosine: "features like the patch's",
  words: "patches a word names",
  gradients: "where gradients go",
};
const SCALES = {pair: "teacher and student alike", own: "each its own", all: "all alike"};
const GLOSSES = {
  show: "Attention of one layer; its product over all layers (rollout, with the residual paths); the first three principal components of each network's features as red, green and blue; the cosine of every patch's features with the patch's; the cosine of every patch's semantics with a word; or the weights that a loss reaches.",
  student: "The tokenizer after each stage of its training; “play” walks through them.",
  layer: "Counted in the student; a network with fewer layers answers with the one at the same depth.",
  head: "One head, or the mean of all.",
  teacher: "Resized to the student's patches, as the topology loss sees it, or on its own grid.",
  beside: "Another network, for comparison.",
  word: "Its text embedding is compared with every patch's projected semantics.",
  loss: "Each loss is backpropagated by itself on one batch; the numbers are shares of its squared gradient norm. 0 is exactly zero.",
  "who looks here": "A column of the map in place of a row: which patches look at this one.",
  colours: "Which maps share a scale; one on a scale of its own says so. The difference has its own, from blue (less than the teacher) to red (more).",
  overlay: "How much of the map covers the image.",
};
const STEP_OF_PLAY = 900; // milliseconds a stage
const LARGEST_UPLOAD = 4e6, LARGEST_SIDE = 2048; // bytes and pixels: a notebook server refuses messages of 10 MB

function ramp(colours) {
  const parse = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const stops = colours.map(parse);
  return Array.from({length: 256}, (_, i) => {
    const at = (i / 255) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2), part = at - low;
    return stops[low].map((value, c) => Math.round(value + (stops[low + 1][c] - value) * part));
  });
}
const HEAT = ramp(VIRIDIS), SIGNED = ramp(DIVERGING);

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Attention of one map for one patch, as probabilities: its row (where it looks), or its column (who looks at it).
// `head` (-1: their mean) and `layer` count in a network of `of` heads and layers; one with fewer of them answers with the one
// at the same place.
function look(source, image, layer, head, patch, keys, of) {
  const n = source.grid[0] * source.grid[1], found = new Float32Array(n);
  const at = (index, count, all) => Math.min(count - 1, Math.floor((index * count) / all));
  const heads = head < 0 ? Array.from({length: source.heads}, (_, h) => h) : [at(head, source.heads, of.heads)];
  layer = at(layer, source.layers, of.layers);
  for (const h of heads) {
    const map = (image * source.layers + layer) * source.heads + h;
    const scale = source.scales[map] / 255 / heads.length, start = map * n * n;
    for (let k = 0; k < n; k++) found[k] += scale * source.maps[start + (keys ? k * n + patch : patch * n + k)];
  }
  return found;
}

// Rollout (Abnar and Zuidema 2020) of one patch: half the mean of the heads and half the token itself, layer after layer. One row
// (or column) walks through the layers, so that nothing quadratic is formed. Rows of bytes are made to sum to 1 again, or what
// rounding takes would add up from layer to layer.
function roll(source, image, patch, keys) {
  const n = source.grid[0] * source.grid[1];
  let found = new Float32Array(n);
  found[patch] = 1;
  const order = Array.from({length: source.layers}, (_, l) => (keys ? l : source.layers - 1 - l));
  for (const layer of order) {
    const next = found.map((value) => value / 2);
    for (let h = 0; h < source.heads; h++) {
      const map = (image * source.layers + layer) * source.heads + h;
      for (let q = 0; q < n; q++) {
        if (!keys && found[q] === 0) continue;
        const start = (map * n + q) * n, row = source.maps.subarray(start, start + n);
        const share = 0.5 / source.heads / (row.reduce((sum, value) => sum + value, 0) || 1);
        if (keys) for (let k = 0; k < n; k++) next[q] += share * row[k] * found[k];
        else for (let k = 0; k < n; k++) next[k] += share * row[k] * found[q];
      }
    }
    found = next;
  }
  return found;
}

// Numbers in [-1, 1] that were stored as bytes.
const signed = (bytes) => Float32Array.from(bytes, (value) => value / 127.5 - 1);

function draw(canvas, picture, paint, grid, opacity, patch) {
  const context = canvas.getContext("2d"), {width, height} = canvas, [rows, columns] = grid;
  context.globalAlpha = 1;
  context.filter = paint ? "grayscale(1) brightness(.75)" : "none";
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, 0, 0, width, height);
  context.filter = "none";
  context.globalAlpha = opacity;
  for (let k = 0; paint && k < rows * columns; k++) {
    const [r, g, b] = paint(k);
    context.fillStyle = `rgb(${r},${g},${b})`;
    const x = k % columns, y = Math.floor(k / columns);
    const left = Math.round((x * width) / columns), top = Math.round((y * height) / rows);
    context.fillRect(left, top, Math.round(((x + 1) * width) / columns) - left, Math.round(((y + 1) * height) / rows) - top);
  }
  context.globalAlpha = 1;
  ring(context, [width, height], grid, patch);
}

function ring(context, size, [rows, columns], patch) {
  const [width, height] = size, x = ((patch % columns) + 0.5) * (width / columns), y = (Math.floor(patch / columns) + 0.5) * (height / rows);
  for (const [line, colour] of [[5, "#fff"], [2.5, "#ff2d55"]]) {
    context.lineWidth = line;
    context.strokeStyle = colour;
    context.beginPath();
    context.arc(x, y, Math.max(5, Math.min(width / columns, height / rows) / 2.6), 0, 7);
    context.stroke();
  }
}

// Value -> colour, on a scale from low to high.
function coloured(values, [low, high], colours) {
  const span = high - low || 1;
  return (k) => colours[Math.max(0, Math.min(255, Math.round(((values[k] - low) / span) * 255)))];
}

// The patch of another grid that lies at the same place of the image.
function moved(patch, from, to) {
  const y = Math.floor(((Math.floor(patch / from[1]) + 0.5) * to[0]) / from[0]);
  const x = Math.floor((((patch % from[1]) + 0.5) * to[1]) / from[1]);
  return y * to[1] + x;
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) name in made && name !== "role" ? (made[name] = value) : made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Two digits that matter, a real minus, and no sign or exponent for what needs none.
function number(value) {
  if (Math.abs(value) < 5e-7) return "0";
  const text = Math.abs(value) >= 100 ? Math.abs(value).toFixed(0) : Math.abs(value).toPrecision(2);
  return (value < 0 ? "−" : "") + (/e/.test(text) ? Math.abs(value).toFixed(6) : text);
}

const most = (values) => values.reduce((found, value) => Math.max(found, value), -Infinity);
const least = (values) => values.reduce((found, value) => Math.min(found, value), Infinity);

async function unpacked(data) {
  const sources = data.sources.map(async (s) => ({...s, maps: await inflate(s.maps)}));
  const features = (data.features ?? []).map(async (f) => ({
    ...f, colours: await inflate(f.colours), cosines: signed(await inflate(f.cosines)), words: f.words && signed(await inflate(f.words)),
  }));
  const pictures = data.images.map(async (src) => { const image = new Image(); image.src = src; await image.decode(); return image; });
  return Promise.all([sources, features, pictures].map((each) => Promise.all(each)));
}

export async function mount(root, data, given = {}, changed = () => {}, ask = null) {
  const [sources, features, pictures] = await unpacked(data);
  const of = (role) => sources.filter((s) => s.role === role);
  const teachers = of("teacher"), students = of("student"), others = of("comparison");
  const main = students[0] ?? teachers[0] ?? sources[0], grid = main.grid, patches = grid[0] * grid[1], words = data.words ?? [];
  const resized = teachers.find((t) => String(t.grid) === String(grid)) ?? teachers[0];
  const gradients = data.gradients ?? [], losses = [...new Set(gradients.flatMap((g) => Object.keys(g.losses)))];
  const there = {
    words: (words.length || ask?.word) && features.some((f) => f.named), gradients: losses.length && students.length,
    pca: features.length, cosine: features.length,
  };
  const modes = Object.keys(MODES).filter((mode) => there[mode] ?? true);
  // A link may say anything.
  const known = (said) => Object.fromEntries(Object.entries(said ?? {}).filter(([name]) => Object.hasOwn(DEFAULTS, name)));
  const state = {...DEFAULTS, ...known(given)};
  const bound = (value, count, otherwise) => (Number.isInteger(value) && value >= 0 && value < count ? value : otherwise);
  const settle = () => {
    state.mode = modes.includes(state.mode) ? state.mode : modes[0];
    state.scale = typeof state.scale === "string" && Object.hasOwn(SCALES, state.scale) ? state.scale : DEFAULTS.scale;
    state.opacity = Number.isFinite(state.opacity) ? Math.min(1, Math.max(0, state.opacity)) : DEFAULTS.opacity;
    [state.locked, state.keys] = [state.locked === true, state.keys === true];
    state.image = bound(state.image, pictures.length, 0);
    state.layer = bound(state.layer, main.layers, main.layers - 1);
    state.head = bound(state.head, main.heads, -1);
    state.stage = bound(state.stage, students.length, students.length - 1);
    state.teacher = bound(state.teacher, teachers.length, 0);
    state.comparison = bound(state.comparison, others.length, 0);
    state.word = bound(state.word, words.length, 0);
    state.loss = bound(state.loss, losses.length, 0);
    state.patch = bound(state.patch, patches, Math.floor(grid[0] / 2) * grid[1] + Math.floor(grid[1] / 2));
  };
  settle();

  root.replaceChildren();
  const frame = element("div", {className: "muse-explorer"}, element("style", {}, CSS));
  root.append(frame);
  let pointed = null, playing = null, heldBefore = false;
  const apply = (change) => { Object.assign(state, known(change)); settle(); show(); changed({...state}); };
  const update = (change) => {
    if (playing && "stage" in change) { stop(); state.locked = heldBefore; }
    apply(change);
  };

  const thumbs = pictures.map((picture, at) => {
    const image = element("img", {src: picture.src, alt: data.names[at]});
    return element("button", {type: "button", title: data.names[at], onclick: () => update({image: at})}, image);
  });
  // A control: its words, the modes it belongs to, what it is made of, and how it shows the state.
  const control = (label, words, inModes, parts, showState, useful = true) => {
    const box = element(label ? "label" : "span", {title: GLOSSES[words] ?? ""}, ...(label ? [label] : []), ...parts);
    return {words, used: () => useful && inModes.includes(state.mode), box, show: showState};
  };
  const slider = (name, words, inModes, count, label) => {
    const input = element("input", {type: "range", min: 0, max: count - 1, step: 1}), says = element("output");
    input.oninput = () => update({[name]: +input.value});
    const tell = () => { input.value = state[name]; says.textContent = label(state[name]); input.setAttribute("aria-valuetext", says.textContent); };
    return control(words, words, inModes, [input, says], tell, count > 1);
  };
  const choice = (name, words, inModes, options, read = Number) => {
    const select = element("select", {name}, ...options.map(([value, text]) => element("option", {value}, text)));
    select.onchange = () => update({[name]: read(select.value)});
    return control(words, words, inModes, [select], () => { select.value = String(state[name]); }, options.length > 1);
  };
  const who = element("input", {type: "checkbox"}), opacity = element("input", {type: "range", min: 0, max: 1, step: 0.05});
  who.onchange = () => update({keys: who.checked});
  opacity.oninput = () => update({opacity: +opacity.value});
  const play = element("button", {type: "button", className: "link"}), copy = element("button", {type: "button", className: "link"}, "Copy link to this view");
  const typed = element("input", {type: "text", placeholder: "a word of your own", size: 16});
  typed.onkeydown = (event) => {
    event.stopPropagation(); // or JupyterLab takes it for a command
    if (event.key !== "Enter" || !typed.value.trim()) return;
    ask?.word(typed.value.trim());
    typed.value = "";
  };
  const all = Object.keys(MODES), maps = ["attention", "rollout"], onImages = all.filter((mode) => mode !== "gradients");
  const controls = [
    choice("mode", "show", all, modes.map((mode) => [mode, MODES[mode]]), String),
    slider("stage", "student", all, students.length, (at) => students[at]?.name ?? ""),
    control("", "student", all, [play], () => { play.textContent = playing ? "■ stop" : "▶ play the stages"; }, students.length > 1),
    slider("layer", "layer", ["attention"], main.layers, (at) => at + 1),
    choice("head", "head", ["attention"], [[-1, "mean of all"], ...Array.from({length: main.heads > 1 ? main.heads : 0}, (_, h) => [h, String(h + 1)])]),
    choice("teacher", "teacher", maps, teachers.map((s, at) => [at, s.name])),
    choice("comparison", "beside", maps, others.map((s, at) => [at, s.name])),
    choice("word", "word", ["words"], words.map((word, at) => [at, word])),
    control("", "word", ["words"], [typed], () => {}, ask?.word !== undefined),
    control("who looks here", "who looks here", maps, [who], () => { who.checked = state.keys; }),
    choice("scale", "colours", maps, Object.entries(SCALES).filter(([name]) => name !== "pair" || (teachers.length && students.length)), String),
    choice("loss", "loss", ["gradients"], losses.map((loss, at) => [at, loss])),
    control("overlay", "overlay", onImages, [opacity], () => { opacity.value = state.opacity; }),
    {words: "", used: () => true, box: copy, show: () => {}},
  ];
  const glosses = element("dl");

  const placed = (canvas, event) => {
    const box = canvas.getBoundingClientRect();
    const x = Math.min(grid[1] - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * grid[1])));
    const y = Math.min(grid[0] - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * grid[0])));
    return y * grid[1] + x;
  };
  const panels = [], gallery = element("div", {className: "panels"});
  const panelAt = (index) => {
    if (panels[index]) return panels[index];
    const canvas = element("canvas", {className: "map", width: 320, height: 320, tabIndex: 0, role: "application", "aria-roledescription": "map of patches"});
    const scale = element("canvas", {width: 128, height: 1}), low = element("span"), high = element("span"), caption = element("figcaption");
    const legend = element("div", {className: "legend"}, low, scale, high), here = element("div", {className: "value"});
    canvas.onpointermove = (event) => {
      if (event.pointerType === "touch") return;
      pointed = placed(canvas, event);
      if (state.locked) tell(); else if (pointed !== state.patch) apply({patch: pointed}); else tell();
    };
    canvas.onpointerleave = () => { pointed = null; tell(); };
    canvas.onclick = (event) => {
      const patch = placed(canvas, event);
      update({patch, locked: !(state.locked && patch === state.patch)});
    };
    const box = element("figure", {}, caption, canvas, legend, here);
    gallery.append(box);
    return (panels[index] = {box, canvas, scale, low, high, legend, caption, here});
  };

  const says = element("p", {className: "says"}), message = element("p", {className: "message", role: "status"});
  const routes = element("div", {className: "routes"});
  const strip = headStrip(main, students.length ? "the student" : main.name, (layer, head) => update({layer, head}));
  strip.box.ontoggle = () => { if (strip.box.open) show(); };
  frame.append(
    element("div", {className: "images"}, ...thumbs, ...(ask?.image ? [picker(frame, ask.image, (text) => { message.textContent = text; })] : [])),
    element("div", {className: "controls"}, ...controls.map((c) => c.box)),
    message, gallery, routes, says, strip.box,
    element("details", {}, element("summary", {}, "What the controls do"), glosses),
  );
  // Anywhere on the page: a held patch is let go also where the pointer went on to other things.
  const escape = (event) => {
    if (!frame.isConnected) { document.removeEventListener("keydown", escape); return; }
    if (event.key !== "Escape") return;
    if (playing) { ended(); return; }
    if (state.locked) apply({locked: false});
  };
  document.addEventListener("keydown", escape);
  const aloud = () => { message.textContent = says.textContent; };
  frame.onkeydown = (event) => {
    if (event.target.tagName !== "CANVAS" || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (!event.repeat) { update({locked: !state.locked}); aloud(); }
      return;
    }
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (!step) return;
    event.preventDefault();
    const y = Math.floor(state.patch / grid[1]) + step[0], x = (state.patch % grid[1]) + step[1];
    pointed = null;
    if (y >= 0 && y < grid[0] && x >= 0 && x < grid[1]) update({patch: y * grid[1] + x});
  };
  copy.onclick = async () => {
    const link = `${location.href.split("#")[0]}#explorer=${encodeURIComponent(JSON.stringify(state))}`;
    try { await navigator.clipboard.writeText(link); message.textContent = "Copied."; } catch { message.textContent = link; }
    if (location.protocol === "file:") history.replaceState(null, "", link);
  };
  // The patch is held while the stages are played, and as it was before once they end.
  function stop() { clearInterval(playing); playing = null; }
  function ended() { stop(); apply({locked: heldBefore}); }
  play.onclick = () => {
    if (playing) { ended(); return; }
    heldBefore = state.locked;
    playing = setInterval(() => {
      if (!frame.isConnected) stop();
      else if (state.stage + 1 >= students.length) ended();
      else apply({stage: state.stage + 1});
    }, STEP_OF_PLAY);
    apply({stage: 0, locked: true});
  };

  function seen(source) {
    const patch = moved(state.patch, grid, source.grid);
    if (state.mode === "rollout") return roll(source, state.image, patch, state.keys);
    return look(source, state.image, state.layer, state.head, patch, state.keys, main);
  }

  // What the panels show: a name, its grid, a value of each patch with its words, the scale's ends, and a colour of each patch.
  function attentionViews() {
    const times = (source) => seen(source).map((value) => value * source.grid[0] * source.grid[1]);
    const chosen = [teachers[state.teacher], students[state.stage], others[state.comparison]];
    const values = chosen.map((source) => source && times(source));
    const pair = Math.max(...values.slice(0, 2).filter(Boolean).map(most)), every = Math.max(...values.filter(Boolean).map(most));
    const heats = chosen.map((source, at) => {
      if (!source) return null;
      const alone = state.scale === "own" || (state.scale === "pair" && at === 2);
      const top = state.scale === "all" ? every : alone ? most(values[at]) : pair;
      const note = alone ? " (scale of its own)" : "";
      return {name: source.name, note, grid: source.grid, values: values[at], limits: [0, top], colours: HEAT, words: (v) => `${number(v)} × uniform`};
    });
    const [teacher, student, other] = heats;
    if (!teacher || !student) return heats.filter(Boolean);
    const values3 = difference(seen(resized), resized.grid, seen(students[state.stage]), grid).map((value) => value * patches);
    const top = Math.max(1e-9, most(values3.map(Math.abs))), from = teachers.length > 1 ? ` (${resized.name})` : "";
    const apart = {name: `student − teacher${from}`, note: "", grid, values: values3, limits: [-top, top], colours: SIGNED, words: (v) => `${v >= 5e-7 ? "+" : ""}${number(v)} × uniform`};
    return [teacher, student, apart, other].filter(Boolean);
  }
  function featureViews() {
    const now = features.filter((f) => f.stage == null || f.stage === state.stage);
    return (state.mode === "words" ? now.filter((f) => f.words) : now).map((feature) => {
      const n = feature.grid[0] * feature.grid[1], patch = moved(state.patch, grid, feature.grid), base = {name: feature.name, note: "", grid: feature.grid};
      if (state.mode === "pca") {
        const start = state.image * n * 3;
        return {...base, paint: (k) => feature.colours.subarray(start + 3 * k, start + 3 * k + 3)};
      }
      const start = state.mode === "cosine" ? (state.image * n + patch) * n : (state.image * words.length + state.word) * n;
      const values = (state.mode === "cosine" ? feature.cosines : feature.words).subarray(start, start + n);
      return {...base, note: " (scale of its own)", values, limits: [least(values), most(values)], colours: HEAT, words: (v) => `cosine ${v.toFixed(2).replace("-", "−")}`};
    });
  }

  let views = [];
  function tell() {
    if (state.mode === "gradients") {
      const measured = gradients.find((g) => g.stage === state.stage)?.losses[losses[state.loss]];
      says.textContent = !measured ? "" : `${losses[state.loss]}, ${students[state.stage].name}: the stronger the colour, the more of its gradient arrives; 0 is exactly zero`;
      return;
    }
    const at = pointed ?? state.patch, named = (patch) => `row ${Math.floor(patch / grid[1]) + 1}, column ${(patch % grid[1]) + 1}`;
    const where = at === state.patch ? "here" : `at ${named(at)}`, place = named(state.patch);
    views.forEach((view, index) => {
      const value = view.values ? `${view.words(view.values[moved(at, grid, view.grid)])} ${where}` : "";
      panels[index].here.textContent = value;
      panels[index].canvas.setAttribute("aria-label", `${view.name}${view.values ? `, ${MODES[state.mode]}` : ""}: ${value || place}`);
    });
    const which = state.mode === "attention" ? ` · layer ${state.layer + 1} · ${state.head < 0 ? "mean of heads" : `head ${state.head + 1}`}` : "";
    const hold = state.locked ? "held: click it again or press Escape to let go" : "click a patch to hold it";
    says.textContent = `${data.names[state.image]} · ${place}${which} · ${hold}`;
  }
  function show() {
    thumbs.forEach((thumb, at) => thumb.setAttribute("aria-pressed", at === state.image));
    controls.forEach((each) => { each.box.hidden = !each.used(); each.show(); });
    const used = [...new Set(controls.filter((each) => each.used()).map((each) => each.words))].filter((name) => GLOSSES[name]);
    glosses.replaceChildren(...used.flatMap((name) => [element("dt", {}, name), element("dd", {}, GLOSSES[name])]));
    const noImages = state.mode === "gradients", now = gradients.find((g) => g.stage === state.stage);
    [gallery.hidden, routes.hidden] = [noImages, !noImages];
    if (noImages) routes.replaceChildren(...(now ? routeTables(now.losses[losses[state.loss]]) : [element("p", {}, "The gradients of this stage were not measured.")]));
    const shown = noImages ? [] : maps.includes(state.mode) ? attentionViews() : featureViews();
    views = noImages ? [] : [{name: "image", note: "", grid}, ...shown];
    panels.forEach((panel, at) => { panel.box.hidden = at >= views.length; });
    views.forEach((view, at) => {
      const panel = panelAt(at), picture = pictures[state.image], tall = Math.round((320 * picture.naturalHeight) / picture.naturalWidth) || 320;
      if (panel.canvas.height !== tall) panel.canvas.height = tall;
      const paint = view.paint ?? (view.values && coloured(view.values, view.limits, view.colours));
      draw(panel.canvas, picture, paint, view.grid, state.opacity, moved(state.patch, grid, view.grid));
      panel.caption.textContent = view.name + view.note;
      panel.legend.hidden = !view.values;
      if (!view.values) return;
      const context = panel.scale.getContext("2d");
      view.colours.forEach(([r, g, b], i) => { context.fillStyle = `rgb(${r},${g},${b})`; context.fillRect(i / 2, 0, 1, 1); });
      [panel.low.textContent, panel.high.textContent] = view.limits.map(number);
    });
    strip.show(state.mode === "attention" && main.layers * main.heads > 1, (layer, head) => {
      const source = students[state.stage] ?? main;
      return look(source, state.image, layer, head, moved(state.patch, grid, source.grid), state.keys, main);
    }, state);
    tell();
  }
  show();
  return {state: () => ({...state}), update, say: (text) => { message.textContent = text; }, look: (name) => Array.from(seen(sources.find((s) => s.name === name)))};
}

// Shares of one loss's gradient energy: a table of blocks, one of the backbone's layers, and what lies outside both.
function routeTables(places) {
  if (!places) return [element("p", {}, "The loss has no weight in this stage.")];
  const text = (share) => (share === 0 ? "0" : share < 0.001 ? "<0.1 %" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`);
  const cell = (share) => {
    if (share === undefined) return element("td", {}, "–");
    const made = element("td", {title: share === 0 ? "exactly zero" : `${(100 * share).toPrecision(3)} %`}, text(share));
    made.style.background = share ? `rgba(46,139,192,${(0.12 + 0.7 * Math.sqrt(share)).toFixed(3)})` : "none";
    return made;
  };
  const table = (rows, columns, name, found) => element("table", {},
    element("thead", {}, element("tr", {}, ...["", ...columns].map((words) => element("th", {}, words)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, element("th", {}, name(row)), ...columns.map((column) => cell(found(row, column)))))));
  const at = (kind, block) => places.find(([k, b]) => k === kind && b === block)?.[2];
  const kinds = (inside) => [...new Set(places.filter(([kind, block]) => block >= 0 && inside(kind)).map(([kind]) => kind))];
  const numbers = (among) => [...new Set(places.filter(([kind, block]) => block >= 0 && among.includes(kind)).map(([, block]) => block))].sort((a, b) => a - b);
  const inBackbone = (kind) => kind.startsWith("backbone"), blocks = kinds((kind) => !inBackbone(kind)), layers = kinds(inBackbone);
  const outside = places.filter(([, block]) => block < 0);
  return [
    table(numbers(blocks), blocks, (block) => `block ${block + 1}`, (block, kind) => at(kind, block)),
    table([""], outside.map(([kind]) => kind), () => "outside", (_, kind) => at(kind, -1)),
    ...(layers.length ? [table(numbers(layers), layers, (layer) => `layer ${layer + 1}`, (layer, kind) => at(kind, layer))] : []),
  ];
}

// Every layer (down) and head (across, their mean first) of one network for one patch, small enough to compare and to click.
function headStrip(main, whose, choose) {
  const [rows, columns] = main.grid, heads = [-1, ...Array.from({length: main.heads > 1 ? main.heads : 0}, (_, h) => h)], cells = [];
  const table = element("div");
  table.style.gridTemplateColumns = `repeat(${heads.length + 1}, max-content)`;
  table.append(element("span"), ...heads.map((head) => element("span", {}, head < 0 ? "mean" : `head ${head + 1}`)));
  for (let layer = 0; layer < main.layers; layer++) {
    table.append(element("span", {}, `layer ${layer + 1}`));
    for (const head of heads) {
      const canvas = element("canvas", {width: columns, height: rows});
      const words = `layer ${layer + 1}, ${head < 0 ? "mean of heads" : `head ${head + 1}`}`;
      const button = element("button", {type: "button", title: words, "aria-label": words, onclick: () => choose(layer, head)}, canvas);
      table.append(button);
      cells.push({layer, head, canvas, button});
    }
  }
  const box = element("details", {className: "heads", open: true}, element("summary", {}, `All layers and heads of ${whose}, each on a scale of its own: click one`), table);
  const show = (visible, values, state) => {
    box.hidden = !visible;
    if (!visible || !box.open) return;
    for (const {layer, head, canvas, button} of cells) {
      button.setAttribute("aria-pressed", layer === state.layer && head === state.head);
      const found = values(layer, head), paint = coloured(found, [0, most(found)], HEAT);
      const context = canvas.getContext("2d"), pixels = context.createImageData(columns, rows);
      found.forEach((_, k) => pixels.data.set([...paint(k), 255], 4 * k));
      context.putImageData(pixels, 0, 0);
    }
  };
  return {box, show};
}

// A button, and the whole explorer as a place to drop a file on: `add` gets the file's name and bytes.
function picker(frame, add, say) {
  const input = element("input", {type: "file", accept: "image/*", hidden: true});
  const button = element("button", {type: "button", className: "add", title: "or drop an image anywhere here"}, "＋ your image");
  const take = async (file) => {
    if (!file) return;
    say(`Looking at ${file.name} …`);
    try { add(file.name, await (await smaller(file)).arrayBuffer()); } catch { say(`${file.name} could not be read as an image.`); }
  };
  button.onclick = () => input.click();
  input.onchange = () => take(input.files[0]);
  frame.ondragover = (event) => event.preventDefault();
  frame.ondrop = (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); };
  return element("span", {}, button, input);
}

// The file itself, or the same picture in fewer pixels where its bytes are too many to send.
async function smaller(file) {
  if (file.size <= LARGEST_UPLOAD) return file;
  const picture = await createImageBitmap(file), factor = Math.min(1, LARGEST_SIDE / Math.max(picture.width, picture.height));
  const canvas = new OffscreenCanvas(Math.max(1, Math.round(picture.width * factor)), Math.max(1, Math.round(picture.height * factor)));
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas.convertToBlob({type: "image/jpeg", quality: 0.95});
}

// Student minus teacher on the student's grid; a teacher on another grid is read at the same places, its mass kept.
function difference(teacher, from, student, to) {
  const cells = Array.from(student, (_, k) => teacher[moved(k, to, from)]);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const rescale = from[0] === to[0] && from[1] === to[1] ? 1 : sum(Array.from(teacher)) / (sum(cells) || 1);
  return Float32Array.from(student, (value, k) => value - cells[k] * rescale);
}

// The view a link asks for, else nothing.
export function linked() {
  const found = location.hash.match(/^#explorer=(.+)$/);
  try {
    const said = found ? JSON.parse(decodeURIComponent(found[1])) : {};
    return said && typeof said === "object" ? said : {};
  } catch { return {}; }
}

// In a page: wakes the explorer whose script this is.
function start() {
  const root = document.currentScript?.parentElement ?? document.querySelector("[data-muse-explorer]:not([data-awake])");
  root.dataset.awake = "1";
  const here = root.querySelector(".here");
  const failed = (error) => { here.textContent = `The explorer could not start: ${error.message ?? error}`; throw error; };
  try {
    const given = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    root.ready = mount(here, given.data, {...given.selection, ...linked()});
  } catch (error) { failed(error); }
  root.ready.catch(failed);
  window.addEventListener("hashchange", async () => (await root.ready).update(linked()));
}

async function render({model, el}) {
  let explorer = null, asked = null;
  const keep = (state) => { model.set("selection", state); model.save_changes(); };
  const asks = model.get("asks");
  const ask = {
    ...(asks.includes("image") ? {image: (name, bytes) => { asked = "image"; model.send({name}, undefined, [bytes]); }} : {}),
    ...(asks.includes("word") ? {word: (word) => { asked = "word"; model.send({word}); }} : {}),
  };
  // One after the other: of two at once the older could end last and stay.
  let ready = Promise.resolve();
  const begin = () => (ready = ready.catch(() => {}).then(async () => {
    explorer = await mount(el, model.get("data"), model.get("selection"), keep, ask);
  }));
  await begin();
  model.on("change:data", async () => {
    await begin();
    explorer.update(asked === "word" ? {word: model.get("data").words.length - 1} : {image: model.get("data").images.length - 1});
  });
  model.on("change:selection", () => {
    const wanted = model.get("selection");
    if (explorer && JSON.stringify(wanted) !== JSON.stringify(explorer.state())) explorer.update(wanted);
  });
  model.on("msg:custom", ({says}) => explorer?.say(says));
}

export default {render};
