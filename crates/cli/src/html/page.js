// The data taken apart, the words for numbers, the summary, and the table.
// Text that programs sent or were called only ever becomes textContent: it cannot be markup.

const $ = id => document.getElementById(id);

// An element with a class, texts and elements in it.
function el(tag, name, ...inside) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(...inside);
  return made;
}

function svg(tag, attributes, ...inside) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  made.append(...inside);
  return made;
}

// ---- Words for numbers, as the text report has them.

const thousands = n => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
const count = (n, noun) => `${thousands(n)} ${noun}${n === 1 ? "" : "s"}`;

function duration(ns) {
  if (ns < 1000) return `${ns}ns`;
  const [unit, name] = ns < 1e6 ? [1e3, "µs"] : ns < 1e9 ? [1e6, "ms"] : [1e9, "s"];
  const whole = Math.floor(ns / unit), rest = Math.floor(ns % unit * 1000 / unit);
  if (whole < 10) return `${whole}.${String(Math.floor(rest / 10)).padStart(2, "0")}${name}`;
  return whole < 100 ? `${whole}.${Math.floor(rest / 100)}${name}` : `${whole}${name}`;
}

function bytes(n) {
  if (n < 10000) return `${n} B`;
  const [unit, name] = n < 2 ** 20 ? [2 ** 10, "KiB"] : n < 2 ** 30 ? [2 ** 20, "MiB"] : [2 ** 30, "GiB"];
  const value = n / unit;
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${name}`;
}

const seconds = (ns, digits = 3) => `${(Math.floor(ns / 10 ** (9 - digits)) / 10 ** digits).toFixed(digits)} s`;

// ---- The data. An end is one socket; an item is one end, or a pipe with both its ends.

let data, items = [];

const UNKNOWN = -1, LISTENER = "listener";
const hue = phase => ["resolve", "create", "connect", "communicate", "disconnect"][phase] || "other";

// The places of the numbers are those of data.rs.
function takeApart(row) {
  const word = place => data.strings[place];
  const [id, far, who, peer, local, role, verdict, sentence, start, took, sentBytes, sentCalls, receivedBytes, receivedCalls,
    firstByte, waited, options, again, partial, silence, rtt, retransmits, accepted, calls, pid, spans, notes] = row;
  const phases = [];
  for (let at = 0; at < spans.length; at += 3) phases.push({ phase: spans[at], start: start + spans[at + 1], took: spans[at + 2] });
  const connect = phases.find(span => span.phase === 2);
  return {
    id, far: far === 1, who: word(who), peer: word(peer), local: word(local), role: data.roles[role], verdict: data.verdicts[verdict],
    failed: data.failures[verdict] === 1, sentence: word(sentence), start, took, sentBytes, sentCalls, receivedBytes, receivedCalls,
    firstByte, waited, options: word(options), again, partial, silence, rtt, retransmits, accepted, calls, pid, phases,
    connect: connect ? connect.took : UNKNOWN, notes: notes.map(note => note.map(word)),
  };
}

function load() {
  data = JSON.parse($("data").textContent);
  for (const row of data.ends) {
    const end = takeApart(row);
    if (end.far) items[items.length - 1].far = end;
    else items.push({ near: end, far: null });
  }
  data.ends = null;
  items.forEach((item, at) => {
    const { near, far } = item;
    const ends = far ? [near, far] : [near];
    item.at = at;
    item.ends = ends;
    item.start = Math.min(...ends.map(end => end.start));
    item.took = Math.max(...ends.map(end => end.start + end.took)) - item.start;
    item.active = near.role !== "passive" && near.role !== LISTENER;
    item.failed = ends.some(end => end.failed);
    item.odd = ends.some(end => end.verdict === "leaked" || end.notes.length > 0);
    item.name = far ? `#${near.id} ⇄ #${far.id}` : `#${near.id}`;
    item.to = near.role === LISTENER ? `listens on ${near.local}` : near.peer || near.local || (far ? far.who : "");
  });
}

// ---- The summary: the report's own lines.

const TONES = { failed: "error", leaked: "warning", unseen: "warning", lost: "warning", lints: "warning" };

function summarize() {
  const [file, ...command] = data.title.split(": ");
  $("title").textContent = file;
  if (command.length) {
    const button = $("command");
    button.textContent = command.join(": ");
    button.hidden = false;
    button.onclick = () => button.setAttribute("aria-expanded", button.getAttribute("aria-expanded") !== "true");
  }
  document.title = `${file} – sockshim`;
  for (const [label, text] of data.summary) {
    if (!label) {
      $("heading").textContent = text;
      continue;
    }
    const value = el("dd", TONES[label] || (label === "fine" ? "faint" : ""));
    // What has a number can be opened.
    for (const part of text.split(/(#\d+)/)) {
      const number = /^#(\d+)$/.exec(part);
      const there = number && items.find(item => item.ends.some(end => end.id === Number(number[1])));
      const link = there && el("button", "", part);
      if (link) link.onclick = () => show(there);
      value.append(link || part);
    }
    $("summary").append(el("dt", "", label), value);
  }
  for (let phase = 0; phase < 5; phase++) $("legend").append(el("li", "", el("i", `p${phase}`), data.phases[phase]));
  const left = data.leftOut ? ` The calls of ${count(data.leftOut, "connection")} are left out, to keep the page small: sockshim report --connection N draws them.` : "";
  $("foot").textContent = `Written by sockshim ${data.version}. Times are since the recording began.${left}`;
}

// ---- The table. Only the rows that can be seen are there.

const verdictWord = end => end.verdict.replaceAll("-", " ");
const total = (item, key) => item.near[key];

// Name, class, text, what it is sorted by, and whether the most come first.
const COLUMNS = [
  ["#", "id", item => item.far ? `${item.near.id} ⇄ ${item.far.id}` : item.near.id, item => item.near.id],
  ["Who", "", item => item.near.who, item => item.near.who],
  ["To whom", "", item => item.to, item => item.to],
  ["Phases", "", item => strip(item.near, item.start, item.took), null],
  ["At", "num", item => seconds(item.start), item => item.start],
  ["Lasted", "num", item => duration(item.took), item => item.took, true],
  ["Connect", "num", item => item.near.connect, item => item.near.connect, true],
  ["First byte", "num", item => item.near.firstByte, item => item.near.firstByte, true],
  ["Sent", "num", item => bytes(item.near.sentBytes), item => item.near.sentBytes, true],
  ["Received", "num", item => bytes(item.near.receivedBytes), item => item.near.receivedBytes, true],
  ["Ended", "", item => verdictWord(item.near), item => verdictWord(item.near)],
];

const table = { rows: [], at: 0, sort: 4, down: false, made: new Map() };

// The phases of an end as a bar, on a scale that may reach further.
function strip(end, start, took, tall = "") {
  const bar = el("div", `strip ${tall}`);
  bar.setAttribute("aria-hidden", "true");
  for (const span of end.phases) {
    const piece = el("i", `p${span.phase}`);
    piece.style.left = `${Math.min(99, (span.start - start) / Math.max(1, took) * 100)}%`;
    piece.style.width = `${span.took / Math.max(1, took) * 100}%`;
    bar.append(piece);
  }
  return bar;
}

function haystack(item) {
  return item.hay ??= [item.to].concat(...item.ends.map(end => [`#${end.id}`, end.who, end.peer, end.local, end.role, end.verdict, verdictWord(end), end.sentence, end.options, ...end.notes.flat()])).join("\n").toLowerCase();
}

function filter() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const numbers = word => /^#\d+$/.test(word);
  const fits = item => words.every(word => numbers(word) ? item.ends.some(end => `#${end.id}` === word) : haystack(item).includes(word));
  const [, , , key] = COLUMNS[table.sort], sign = table.down ? -1 : 1;
  const order = (a, b) => a < b ? -sign : a > b ? sign : 0;
  table.rows = words.length ? items.filter(fits) : items.slice();
  table.rows.sort((a, b) => order(key(a), key(b)) || a.at - b.at);
  table.at = 0;
  const all = items.length, shown = table.rows.length;
  const sockets = items.reduce((sum, item) => sum + item.ends.length, 0);
  const pipes = sockets > all ? ` (${count(sockets, "socket")}: a pipe with both its ends is one row)` : "";
  $("count").textContent = shown === all ? `${count(all, "row")}${pipes}` : `${thousands(shown)} of ${count(all, "row")}`;
  $("table").setAttribute("aria-rowcount", shown + 1);
  $("scroll").scrollTop = 0;
  clear();
  render();
}

function clear() {
  table.made.clear();
  $("rows").replaceChildren();
}

const height = () => matchMedia("(max-width: 640px)").matches ? 64 : 36;

function line(item, at) {
  const row = el("div", "line");
  row.id = `row-${at}`;
  row.setAttribute("role", "row");
  row.setAttribute("aria-rowindex", at + 2);
  COLUMNS.forEach(([name, kind, text], column) => {
    let value = text(item);
    if (kind === "num" && typeof value === "number") value = value === UNKNOWN ? "·" : duration(value);
    const silent = (column === 8 || column === 9) && item.near.role === LISTENER;
    if (silent) value = "·";
    const cell = el("div", `c${column} ${kind}${value === "·" ? " none" : ""}`, value);
    if (column === 10) cell.classList.add(item.failed ? "error" : item.odd ? "warning" : "plain");
    if (column === 1 || column === 2) cell.title = value;
    cell.setAttribute("role", "gridcell");
    row.append(cell);
  });
  row.onclick = () => { table.at = at; show(item); };
  return row;
}

// Browsers cannot make an element as high as millions of rows: then a pixel of scrolling is more than one.
const MOST_PIXELS = 8e6;

function render(everything = false) {
  const tall = height(), { rows, made } = table, scroll = $("scroll"), box = $("rows");
  const whole = rows.length * tall, high = Math.min(whole, MOST_PIXELS);
  box.style.height = `${high}px`;
  const room = scroll.clientHeight, top = scroll.scrollTop;
  const into = whole > high && high > room ? top * (whole - room) / (high - room) : top;
  const first = everything ? 0 : Math.max(0, Math.floor(into / tall) - 6);
  const last = everything ? Math.min(rows.length, 1000) : Math.min(rows.length, Math.ceil((into + room) / tall) + 6);
  for (const [at, row] of made) if (at < first || at >= last) { row.remove(); made.delete(at); }
  for (let at = first; at < last; at++) {
    if (!made.has(at)) {
      made.set(at, line(rows[at], at));
      box.append(made.get(at));
    }
    const row = made.get(at);
    row.style.top = `${at * tall - into + top}px`;
    row.classList.toggle("at", at === table.at);
    row.setAttribute("aria-selected", at === table.at);
  }
  if (rows.length === 0 && !box.firstChild) box.append(el("div", "empty", items.length ? "No connection is as asked for." : "No connections."));
  if (rows.length === 0) box.style.height = "auto";
  $("table").setAttribute("aria-activedescendant", rows.length ? `row-${table.at}` : "");
}

function move(to) {
  const tall = height(), scroll = $("scroll"), whole = table.rows.length * tall, room = scroll.clientHeight;
  table.at = Math.max(0, Math.min(table.rows.length - 1, to));
  const scale = whole > MOST_PIXELS ? (MOST_PIXELS - room) / (whole - room) : 1;
  const top = table.at * tall;
  if (top < scroll.scrollTop / scale) scroll.scrollTop = top * scale;
  if (top + tall > scroll.scrollTop / scale + room) scroll.scrollTop = (top + tall - room) * scale;
  render();
}

function keys(event) {
  const page = Math.max(1, Math.floor($("scroll").clientHeight / height()) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (event.target.tagName === "BUTTON") return;
  if (event.key in steps) move(table.at + steps[event.key]);
  else if (event.key === "Enter" || event.key === " ") table.rows[table.at] && show(table.rows[table.at]);
  else return;
  event.preventDefault();
}

function heads() {
  const longest = items.reduce((most, item) => Math.max(most, item.name.replaceAll("#", "").length), 3);
  $("table").style.setProperty("--id", `${Math.ceil(longest * 8) + 4}px`);
  COLUMNS.forEach(([name, kind, , key, most], column) => {
    const cell = el("div", `c${column} ${kind === "num" ? "num" : ""}`);
    cell.setAttribute("role", "columnheader");
    const button = key && el("button", "", name);
    if (button) button.type = "button";
    cell.append(button || name);
    $("columns").append(cell);
    if (!button) return;
    button.onclick = () => {
      table.down = table.sort === column ? !table.down : Boolean(most);
      table.sort = column;
      sorted();
      filter();
    };
  });
}

function sorted() {
  [...$("columns").children].forEach((cell, column) => {
    cell.removeAttribute("aria-sort");
    if (column === table.sort) cell.setAttribute("aria-sort", table.down ? "descending" : "ascending");
  });
}

function look(text) {
  $("search").value = text;
  filter();
  $("connections").scrollIntoView({ block: "start" });
}

// ---- Light and dark: as the system has it, or as asked for.

function theme() {
  const themes = ["auto", "light", "dark"];
  let now = 0;
  try { now = Math.max(0, themes.indexOf(localStorage.getItem("sockshim-theme"))); } catch { /* a page from a file may have no storage */ }
  const apply = () => {
    const name = themes[now];
    if (now) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
    $("theme").textContent = name[0].toUpperCase() + name.slice(1);
    $("theme").setAttribute("aria-label", `Colours: ${now ? name : "as the system has them"}`);
    drawWaterfall();
  };
  $("theme").onclick = () => {
    now = (now + 1) % themes.length;
    try { localStorage.setItem("sockshim-theme", themes[now]); } catch { /* not kept, then */ }
    apply();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
  apply();
}

function start() {
  load();
  summarize();
  heads();
  sorted();
  filter();
  plots();
  theme();
  let waiting;
  $("search").oninput = () => { clearTimeout(waiting); waiting = setTimeout(filter, items.length > 5000 ? 150 : 0); };
  $("scroll").onscroll = () => render();
  $("table").onkeydown = keys;
  addEventListener("resize", () => { clear(); render(); drawWaterfall(); });
  addEventListener("beforeprint", () => render(true));
  addEventListener("afterprint", () => { clear(); render(); });
  addEventListener("keydown", event => {
    const typing = event.target === $("search");
    if (event.key === "/" && !typing && !$("detail").open) { $("search").focus(); event.preventDefault(); }
    if (event.key === "Escape" && typing) { $("search").value = ""; filter(); $("table").focus(); }
  });
  detailKeys();
  addEventListener("hashchange", follow);
  follow();
  document.documentElement.dataset.ready = "1";
}
