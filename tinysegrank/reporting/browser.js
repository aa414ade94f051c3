"use strict";
// The browser of images in a report: a list of images, and the chosen one with all its label maps.
// A map is drawn on demand: its class numbers are decoded from a WebP and painted over the photograph.
(() => {
const root = document.getElementById("browser");
const data = JSON.parse(document.getElementById("browser-data").textContent);
const part = (name) => root.querySelector(`[data-part="${name}"]`);
const [list, maps, zoom, view] = ["list", "maps", "zoom", "view"].map(part);
const add = (parent, tag, text = "", attributes = {}) => {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const PHOTOGRAPH = "photograph";
const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);
const method = () => part("method").value;
const gain = (image, of = method()) => image.iou[of] - image.iou[data.first];

let shown = []; // the images that the filter lets through, in order
let current = null; // the image shown
let decoded = null; // its photograph and class numbers
let enlarged = 0; // number of the map in the zoom
let scale = 1; // screen pixels per pixel of the enlarged map

// The list -------------------------------------------------------------------------------------------------------

const ORDERS = {
  gain: (a, b) => gain(b) - gain(a),
  loss: (a, b) => gain(a) - gain(b),
  low: (a, b) => a.iou[method()] - b.iou[method()],
  high: (a, b) => b.iou[method()] - a.iou[method()],
  name: () => 0,
};

const lazily = new IntersectionObserver((entries) => {
  for (const { target } of entries.filter((entry) => entry.isIntersecting)) target.src = target.photograph;
}, { root: list, rootMargin: "400px" });

data.images.sort((a, b) => (a.name < b.name ? -1 : 1));
for (const image of data.images) {
  image.maps.unshift({ title: PHOTOGRAPH, note: image.classes.map((k) => data.classes[k][0]).join(", ") });
  for (const map of image.maps) {
    map.by = Object.keys(image.picks).filter((name) => image.picks[name] === map.title).join(", ");
    map.figures = [map.iou == null ? "" : `IoU ${map.iou.toFixed(1)}`, map.note].filter(Boolean).join(", ");
  }
  image.button = add(list, "button", "", { type: "button" });
  const thumbnail = add(image.button, "img", "", { alt: "" });
  thumbnail.photograph = image.photograph;
  lazily.observe(thumbnail);
  add(image.button, "span", image.name);
  add(image.button, "br");
  image.figures = add(image.button, "span");
  image.button.addEventListener("click", () => select(image));
}

function arrange() {
  const wanted = part("class").value;
  shown = data.images.filter((image) => !wanted || image.classes.includes(Number(wanted)));
  shown.sort(ORDERS[part("order").value]); // stable: equals stay by name
  for (const image of data.images) {
    image.button.hidden = !shown.includes(image);
    image.figures.textContent = `${image.iou[method()].toFixed(1)} (${signed(gain(image))})`;
  }
  list.append(...shown.map((image) => image.button));
  select(shown[0]);
}

function step(by) {
  const next = shown[shown.indexOf(current) + by];
  if (next) select(next);
}

// The image ------------------------------------------------------------------------------------------------------

async function select(image) {
  if (current) current.button.removeAttribute("aria-current");
  current = image;
  const button = image.button;
  button.setAttribute("aria-current", "true");
  const [x, y] = [button.offsetLeft + button.offsetWidth / 2, button.offsetTop + button.offsetHeight / 2];
  list.scrollTo(x - list.clientWidth / 2, y - list.clientHeight / 2); // the list alone, not the page
  part("name").textContent = image.name;
  part("place").textContent = `image ${shown.indexOf(image) + 1} of ${shown.length}`;
  showMethods(image);
  const ready = await decode(image);
  if (image !== current) return; // another was chosen meanwhile
  decoded = ready;
  maps.replaceChildren();
  image.maps.forEach((map, number) => {
    const figure = add(maps, "div", "", { class: "map" });
    const button = add(figure, "button", "", { type: "button", "aria-label": `enlarge ${map.title}` });
    draw(button, number);
    button.addEventListener("click", () => enlarge(number, true));
    add(add(figure, "p"), "strong", map.title);
    add(figure, "p", map.by, { class: "best" });
    add(figure, "p", map.figures);
    add(figure, "p", map.title === PHOTOGRAPH ? "" : shares(decoded.labels[number]));
  });
  if (zoom.open) enlarge(enlarged);
}

function showMethods(image) {
  const table = part("methods");
  table.replaceChildren();
  const row = (cells, tag, line = add(table, "tr")) => cells.forEach((cell) => add(line, tag, cell));
  row(["method", "chose", "IoU", `over the ${data.first}`], "th");
  for (const name of data.methods) {
    row([name, image.picks[name], image.iou[name].toFixed(1), signed(gain(image, name))], "td");
  }
}

async function decode(image) {
  const [width, height, perColumn] = image.size;
  const [photograph, sheet] = [new Image(), new Image()];
  [photograph.src, sheet.src] = [image.photograph, image.labels];
  await Promise.all([photograph.decode(), sheet.decode()]);
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  const labels = image.maps.slice(1).map((_, i) => {
    context.drawImage(sheet, -width * Math.floor(i / perColumn), -height * (i % perColumn));
    const [pixels, numbers] = [context.getImageData(0, 0, width, height).data, new Uint8Array(width * height)];
    for (let p = 0; p < numbers.length; p++) numbers[p] = pixels[4 * p]; // a callback for each takes 50 times as long
    return numbers;
  });
  return { width, height, photograph, labels: [null, ...labels] };
}

// One map --------------------------------------------------------------------------------------------------------

function draw(parent, number) {
  const { width, height, photograph } = decoded;
  const labels = decoded.labels[number];
  const drawn = add(parent, "span", "", { class: labels ? "drawn" : "drawn smooth" });
  const canvas = add(drawn, "canvas", "", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(photograph, 0, 0, width, height);
  if (!labels) return drawn;
  paint(context, labels, width);
  const place = (tag, x, y) => { // the same share of the tag is left of x, so that it stays inside
    [tag.style.left, tag.style.top] = [`${100 * x}%`, `${100 * y}%`];
    tag.style.transform = `translate(${-100 * x}%, -50%)`;
  };
  for (const [k, p] of middles(labels, width)) {
    place(add(drawn, "span", data.classes[k][0]), (p % width) / width, Math.floor(p / width) / height);
  }
  const tip = add(drawn, "span", "", { class: "tip", hidden: "" });
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    const within = (share) => Math.min(0.9999, Math.max(0, share));
    const [x, y] = [within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)];
    tip.textContent = data.classes[labels[Math.floor(y * height) * width + Math.floor(x * width)]][0];
    place(tip, x, y < 0.2 ? y + 0.12 : y - 0.09);
    tip.hidden = false;
  };
  drawn.addEventListener("pointermove", point);
  drawn.addEventListener("pointerdown", point);
  drawn.addEventListener("pointerleave", () => (tip.hidden = true));
  return drawn;
}

/** Paint classes over the photograph, and black and white dashes along their edges, which need no colours. */
function paint(context, labels, width) {
  const picture = context.getImageData(0, 0, width, labels.length / width);
  const opacity = part("opacity").value / 100;
  for (let p = 0; p < labels.length; p++) {
    const [k, x] = [labels[p], p % width];
    const edge = (x && labels[p - 1] !== k) || (p >= width && labels[p - width] !== k);
    if (!edge && k === 0) continue;
    const ink = (x + Math.floor(p / width)) & 4 ? 255 : 0;
    for (let c = 0; c < 3; c++) {
      const colour = data.classes[k][1][c];
      picture.data[4 * p + c] = edge ? ink : opacity * colour + (1 - opacity) * picture.data[4 * p + c];
    }
  }
  context.putImageData(picture, 0, 0);
}

/** Return the pixel of each object class that is farthest from other classes, where there is room for a name. */
function middles(labels, width) {
  const depth = new Uint16Array(labels.length); // city-block distance to the nearest pixel of another class
  const from = (p, q, inside) => (inside && labels[q] === labels[p] ? depth[q] + 1 : 1);
  for (let p = 0; p < labels.length; p++) {
    depth[p] = Math.min(from(p, p - 1, p % width > 0), from(p, p - width, p >= width));
  }
  const deepest = new Map();
  for (let p = labels.length - 1; p >= 0; p--) {
    const [right, below] = [from(p, p + 1, (p + 1) % width > 0), from(p, p + width, p + width < labels.length)];
    depth[p] = Math.min(depth[p], right, below);
    const k = labels[p];
    if (k !== 0 && k !== 255 && depth[p] > (depth[deepest.get(k)] || 0)) deepest.set(k, p);
  }
  return [...deepest].filter(([, p]) => depth[p] >= width / 40);
}

/** Return the classes of a map in words, each with its share of the pixels. */
function shares(labels) {
  const counts = new Map();
  for (const k of labels) counts.set(k, (counts.get(k) || 0) + 1);
  const share = ([k, n]) => `${data.classes[k][0]} ${(100 * n / labels.length).toFixed(0).replace(/^0$/, "<1")}\u00a0%`;
  return [...counts].sort((a, b) => b[1] - a[1]).map(share).join(", ");
}

// The zoom -------------------------------------------------------------------------------------------------------

function enlarge(number, fit = false) {
  enlarged = Math.min(current.maps.length - 1, Math.max(0, number)); // images may differ in their number of maps
  if (!zoom.open) zoom.showModal();
  const { title, figures, by } = current.maps[enlarged];
  part("caption").textContent = [`${current.name}: ${title}`, figures, by].filter(Boolean).join(", ");
  view.replaceChildren();
  draw(view, enlarged);
  resize(fit ? 0 : 1);
}

function resize(factor) {
  const { width, height } = decoded;
  scale = factor ? Math.min(20, Math.max(0.2, scale * factor)) :
    Math.min(view.clientWidth / width, view.clientHeight / height);
  view.firstChild.style.width = `${width * scale}px`;
}

const KEYS = { // in the zoom each has a button too
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), ArrowUp: () => enlarge(enlarged - 1),
  ArrowDown: () => enlarge(enlarged + 1), "+": () => resize(1.5), "=": () => resize(1.5), "-": () => resize(1 / 1.5),
  0: () => resize(0), Escape: () => zoom.close(),
};

root.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || ["SELECT", "INPUT"].includes(target.tagName)) return;
  if (!KEYS[key] || !(zoom.open || ["ArrowLeft", "ArrowRight"].includes(key))) return;
  KEYS[key]();
  event.preventDefault();
});

zoom.querySelectorAll("[data-key]").forEach((of) => of.addEventListener("click", KEYS[of.dataset.key]));

// The start ------------------------------------------------------------------------------------------------------

add(part("class"), "option", `all (${data.images.length})`, { value: "" });
for (const [k, [name]] of Object.entries(data.classes)) { // by number
  const count = data.images.filter((image) => image.classes.includes(Number(k))).length;
  if (count) add(part("class"), "option", `${name} (${count})`, { value: k });
}
for (const name of data.methods.filter((name) => name !== data.first)) add(part("method"), "option", name);
part("method").value = data.chosen;
for (const name of ["class", "method", "order"]) part(name).addEventListener("change", arrange);
part("opacity").addEventListener("change", () => select(current));
arrange();
})();
