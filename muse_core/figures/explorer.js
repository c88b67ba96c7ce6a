// The attention explorer: one source for JupyterLab (anywidget) and for exported pages. No library, no request.

const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const DIVERGING = ["#2166ac", "#67a9cf", "#d1e5f0", "#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b"];

const CSS = `
.muse-explorer{font:14px/1.4 system-ui,sans-serif;color:inherit;max-width:60rem}
.muse-explorer .strip{display:flex;flex-wrap:wrap;gap:.4rem;margin:0 0 .7rem}
.muse-explorer .strip button{padding:2px;border:2px solid transparent;border-radius:6px;background:none;cursor:pointer;line-height:0}
.muse-explorer .strip button[aria-pressed=true]{border-color:#0b7285}
.muse-explorer .strip .add{line-height:1.4;height:60px;padding:0 .8rem;border:1px dashed currentColor;border-radius:6px;background:none;color:inherit;cursor:pointer;font:inherit}
.muse-explorer .strip img{width:56px;height:56px;object-fit:cover;border-radius:4px;image-rendering:pixelated}
.muse-explorer .controls{display:flex;flex-wrap:wrap;gap:.45rem 1.1rem;align-items:center;margin:0 0 .8rem}
.muse-explorer label{display:flex;gap:.4rem;align-items:center;white-space:nowrap}
.muse-explorer input[type=range]{width:7.5rem}
.muse-explorer label[hidden]{display:none}
.muse-explorer output{min-width:1.4em;font-variant-numeric:tabular-nums}
.muse-explorer .panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.8rem}
.muse-explorer figure{margin:0;padding:0;border:0;background:none;min-width:0;color-scheme:inherit}
.muse-explorer figcaption{font-size:.9em;min-height:2.8em;margin:0 0 .2rem;display:flex;align-items:flex-end}
.muse-explorer canvas.map{width:100%;aspect-ratio:1;border-radius:4px;cursor:crosshair;display:block;touch-action:none}
.muse-explorer canvas:focus-visible{outline:3px solid #0b7285;outline-offset:2px}
.muse-explorer .legend{display:flex;gap:.4rem;align-items:center;font-size:.8em;font-variant-numeric:tabular-nums;margin-top:.25rem}
.muse-explorer .legend canvas{flex:1 1 0;min-width:0;height:8px;border-radius:2px}
.muse-explorer .says{margin:.7rem 0 0;font-size:.9em;min-height:1.4em;opacity:.85}
.muse-explorer button.link{font:inherit;cursor:pointer}`;

const DEFAULTS = {image: 0, patch: null, layer: -1, head: -1, stage: -1, teacher: 0, comparison: 0, keys: false, opacity: 0.85, shared: true};
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
  const [rows, columns] = source.grid, n = rows * columns, found = new Float32Array(n);
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

function draw(canvas, picture, values, grid, limits, colours, opacity, patch) {
  const context = canvas.getContext("2d"), size = canvas.width, [rows, columns] = grid;
  context.globalAlpha = 1;
  context.filter = "grayscale(1) brightness(.75)";
  context.imageSmoothingEnabled = false;
  context.drawImage(picture, 0, 0, size, size);
  context.filter = "none";
  context.globalAlpha = opacity;
  const [low, high] = limits, span = high - low || 1;
  for (let k = 0; k < values.length; k++) {
    const [r, g, b] = colours[Math.max(0, Math.min(255, Math.round(((values[k] - low) / span) * 255)))];
    context.fillStyle = `rgb(${r},${g},${b})`;
    const x = k % columns, y = Math.floor(k / columns);
    const left = Math.round((x * size) / columns), top = Math.round((y * size) / rows);
    context.fillRect(left, top, Math.round(((x + 1) * size) / columns) - left, Math.round(((y + 1) * size) / rows) - top);
  }
  context.globalAlpha = 1;
  if (patch !== null) ring(context, size, grid, patch);
}

function ring(context, size, [rows, columns], patch) {
  const x = ((patch % columns) + 0.5) * (size / columns), y = (Math.floor(patch / columns) + 0.5) * (size / rows);
  for (const [width, colour] of [[5, "#fff"], [2.5, "#ff2d55"]]) {
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.beginPath();
    context.arc(x, y, Math.max(5, size / columns / 2.6), 0, 7);
    context.stroke();
  }
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

export async function mount(root, data, given = {}, changed = () => {}, add = null) {
  const sources = await Promise.all(data.sources.map(async (s) => ({...s, maps: await inflate(s.maps)})));
  const of = (role) => sources.filter((s) => s.role === role);
  const teachers = of("teacher"), students = of("student"), others = of("comparison");
  const pictures = await Promise.all(data.images.map(async (src) => { const i = new Image(); i.src = src; await i.decode(); return i; }));
  const main = students[0] ?? teachers[0], grid = main.grid, patches = grid[0] * grid[1];
  const resized = teachers.find((t) => String(t.grid) === String(grid)) ?? teachers[0];
  const state = {...DEFAULTS, ...given};
  const bound = (value, count, otherwise) => (Number.isInteger(value) && value >= 0 && value < count ? value : otherwise);
  const settle = () => {
    state.image = bound(state.image, pictures.length, 0);
    state.layer = bound(state.layer, main.layers, main.layers - 1);
    state.head = bound(state.head, main.heads, -1);
    state.stage = bound(state.stage, students.length, students.length - 1);
    state.teacher = bound(state.teacher, teachers.length, 0);
    state.comparison = bound(state.comparison, others.length, 0);
    state.patch = bound(state.patch, patches, Math.floor(grid[0] / 2) * grid[1] + Math.floor(grid[1] / 2));
  };
  settle();

  root.replaceChildren();
  const frame = element("div", {className: "muse-explorer"}, element("style", {}, CSS));
  root.append(frame);
  const update = (change) => { Object.assign(state, change); settle(); show(); changed({...state}); };

  const thumbs = pictures.map((picture, at) => {
    const image = element("img", {src: picture.src, alt: data.names[at]});
    return element("button", {type: "button", title: data.names[at], onclick: () => update({image: at})}, image);
  });
  const slider = (name, words, count, label) => {
    const input = element("input", {type: "range", min: 0, max: count - 1, step: 1}), says = element("output");
    input.oninput = () => update({[name]: +input.value});
    return {box: element("label", {hidden: count < 2}, words, input, says), show: () => { input.value = state[name]; says.textContent = label(state[name]); }};
  };
  const choice = (name, words, options) => {
    const select = element("select", {}, ...options.map(([value, text]) => element("option", {value}, text)));
    select.onchange = () => update({[name]: +select.value});
    return {box: element("label", {hidden: options.length < 2}, words, select), show: () => { select.value = String(state[name]); }};
  };
  const tick = (name, words) => {
    const box = element("input", {type: "checkbox"});
    box.onchange = () => update({[name]: box.checked});
    return {box: element("label", {}, box, words), show: () => { box.checked = state[name]; }};
  };
  const opacity = element("input", {type: "range", min: 0, max: 1, step: 0.05});
  opacity.oninput = () => update({opacity: +opacity.value});
  const copy = element("button", {type: "button", className: "link"}, "Copy link to this view");
  const controls = [
    slider("stage", "student", students.length, (at) => students[at].name),
    slider("layer", "layer", main.layers, (at) => at + 1),
    choice("head", "head", [[-1, "mean of all"], ...Array.from({length: main.heads}, (_, h) => [h, String(h + 1)])]),
    choice("teacher", "teacher", teachers.map((s, at) => [at, s.name])),
    choice("comparison", "beside", others.map((s, at) => [at, s.name])),
    tick("keys", "who looks here (keys → queries)"),
    tick("shared", "one colour scale"),
    {box: element("label", {}, "overlay", opacity), show: () => { opacity.value = state.opacity; }},
    {box: copy, show: () => {}},
  ];

  const panel = () => {
    const canvas = element("canvas", {className: "map", width: 320, height: 320, tabIndex: 0, role: "img"});
    const scale = element("canvas", {width: 128, height: 1}), low = element("span"), high = element("span"), caption = element("figcaption");
    const legend = element("div", {className: "legend"}, low, scale, high);
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      const x = Math.min(grid[1] - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * grid[1])));
      const y = Math.min(grid[0] - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * grid[0])));
      if (y * grid[1] + x !== state.patch) update({patch: y * grid[1] + x});
    };
    canvas.onpointermove = place;
    canvas.onpointerdown = place;
    return {box: element("figure", {}, caption, canvas, legend), canvas, scale, low, high, caption};
  };
  const columns = [
    ...(teachers.length ? [{panel: panel(), kind: () => teachers[state.teacher]}] : []),
    ...(students.length ? [{panel: panel(), kind: () => students[state.stage]}] : []),
    ...(teachers.length && students.length ? [{panel: panel(), kind: () => "difference"}] : []),
    ...(others.length ? [{panel: panel(), kind: () => others[state.comparison]}] : []),
  ];
  const says = element("p", {className: "says", role: "status"});
  frame.append(
    element("div", {className: "strip"}, ...thumbs, ...(add ? [picker(frame, add, (words) => { says.textContent = words; })] : [])),
    element("div", {className: "controls"}, ...controls.map((c) => c.box)),
    element("div", {className: "panels"}, ...columns.map((c) => c.panel.box)),
    says,
  );
  frame.onkeydown = (event) => {
    const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
    if (!step || event.target.tagName !== "CANVAS") return;
    event.preventDefault();
    const y = Math.floor(state.patch / grid[1]) + step[0], x = (state.patch % grid[1]) + step[1];
    if (y >= 0 && y < grid[0] && x >= 0 && x < grid[1]) update({patch: y * grid[1] + x});
  };
  copy.onclick = async () => {
    const link = `${location.href.split("#")[0]}#explorer=${encodeURIComponent(JSON.stringify(state))}`;
    try { await navigator.clipboard.writeText(link); says.textContent = "Copied."; } catch { says.textContent = link; }
    if (location.protocol === "file:") history.replaceState(null, "", link);
  };

  function seen(source) {
    return look(source, state.image, state.layer, state.head, moved(state.patch, grid, source.grid), state.keys, main);
  }
  function show() {
    thumbs.forEach((thumb, at) => thumb.setAttribute("aria-pressed", at === state.image));
    controls.forEach((control) => control.show());
    const found = columns.map(({kind}) => (kind() === "difference" ? null : seen(kind())));
    const most = Math.max(...found.filter(Boolean).map((values) => Math.max(...values)));
    columns.forEach(({panel, kind}, at) => {
      const source = kind(), signed = source === "difference";
      let values = found[at], shape = signed ? grid : source.grid;
      if (signed) values = difference(seen(resized), resized.grid, seen(students[state.stage]), grid);
      const top = signed ? Math.max(1e-9, ...values.map(Math.abs)) : state.shared ? most : Math.max(...values);
      const limits = signed ? [-top, top] : [0, top], colours = signed ? SIGNED : HEAT;
      draw(panel.canvas, pictures[state.image], values, shape, limits, colours, state.opacity, moved(state.patch, grid, shape));
      const name = signed ? "student − teacher" : source.name;
      panel.caption.textContent = name;
      panel.canvas.setAttribute("aria-label", `${name}: attention ${state.keys ? "to" : "from"} row ${Math.floor(state.patch / grid[1]) + 1}, column ${(state.patch % grid[1]) + 1}`);
      const context = panel.scale.getContext("2d");
      colours.forEach(([r, g, b], i) => { context.fillStyle = `rgb(${r},${g},${b})`; context.fillRect(i / 2, 0, 1, 1); });
      panel.low.textContent = signed ? (-top).toPrecision(2) : "0";
      panel.high.textContent = top.toPrecision(2);
    });
    says.textContent = `${data.names[state.image]} · row ${Math.floor(state.patch / grid[1]) + 1}, column ${(state.patch % grid[1]) + 1} · layer ${state.layer + 1} · ${state.head < 0 ? "mean of heads" : `head ${state.head + 1}`}`;
  }
  show();
  return {state: () => ({...state}), update, say: (words) => { says.textContent = words; }, look: (name) => Array.from(seen(sources.find((s) => s.name === name)))};
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
  try { return found ? JSON.parse(decodeURIComponent(found[1])) : {}; } catch { return {}; }
}

// In a page: wakes the explorer whose script this is.
function start() {
  const root = document.currentScript?.parentElement ?? document.querySelector("[data-muse-explorer]:not([data-awake])");
  root.dataset.awake = "1";
  const given = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  root.ready = mount(root.querySelector(".here"), given.data, {...given.selection, ...linked()});
}

async function render({model, el}) {
  let explorer = null;
  const keep = (state) => { model.set("selection", state); model.save_changes(); };
  const send = model.get("accepts_images") ? (name, bytes) => model.send({name}, undefined, [bytes]) : null;
  const begin = async (selection) => {
    explorer = null;
    explorer = await mount(el, model.get("data"), selection, keep, send);
  };
  await begin(model.get("selection"));
  model.on("change:data", async () => {
    await begin(model.get("selection"));
    explorer.update({image: model.get("data").images.length - 1});
  });
  model.on("change:selection", () => {
    const wanted = model.get("selection");
    if (explorer && JSON.stringify(wanted) !== JSON.stringify(explorer.state())) explorer.update(wanted);
  });
  model.on("msg:custom", ({says}) => explorer?.say(says));
}

export default {render};
