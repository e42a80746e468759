// The plots: a waterfall of all connections, bytes over time, latencies, peers.

// Canvases take no variables: the colours as they are now.
function colours() {
  const probe = el("i", "");
  document.body.append(probe);
  const of = name => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
  const all = { phases: [0, 1, 2, 3, 4].map(phase => of(hue(phase))), line: of("line"), faint: of("faint"), error: of("error"), text: of("text") };
  probe.remove();
  return all;
}

// Steps of 1, 2 and 5 that divide a length into about so many parts.
function step(length, parts) {
  const raw = Math.max(length / parts, 1e-9), base = 10 ** Math.floor(Math.log10(raw));
  return base * [1, 2, 5, 10].find(times => base * times >= raw);
}

// Times at which an axis has a mark. Few, whatever the times are: they may come from a trace that somebody made up.
function ticks(start, took, unit) {
  const first = Math.ceil(start / unit) * unit;
  return Array.from({ length: Math.min(20, Math.floor((start + took - first) / unit) + 1) }, (_, at) => first + at * unit);
}

// Time on an axis: as short as the step allows.
function tick(ns, unit) {
  if (ns === 0) return "0";
  const [size, name] = unit >= 1e9 || ns >= 1e9 ? [1e9, "s"] : unit >= 1e6 || ns >= 1e6 ? [1e6, "ms"] : [1e3, "µs"];
  return `${+(ns / size).toPrecision(6)} ${name}`;
}

// ---- The waterfall. With more connections than pixels, several share one.

const fall = { rows: [], height: 1, top: 22 };

function scale() {
  const [start, end] = data.span;
  return { start, took: Math.max(1, end - start) };
}

function drawWaterfall() {
  const box = $("waterfall"), canvas = box.querySelector("canvas"), wide = box.clientWidth;
  const rows = fall.rows = items.slice().sort((a, b) => a.start - b.start || a.at - b.at);
  const gap = rows.length <= 60 ? 4 : rows.length <= 150 ? 1 : 0;
  const most = 380, each = rows.length ? Math.max(0, Math.min(20, most / rows.length)) : 20;
  const high = Math.max(40, Math.ceil(each * rows.length)), ratio = devicePixelRatio || 1;
  fall.height = each;
  canvas.style.height = `${high + fall.top + 4}px`;
  canvas.width = Math.round(wide * ratio);
  canvas.height = Math.round((high + fall.top + 4) * ratio);
  canvas.setAttribute("aria-label", `Timeline of ${count(rows.length, "connection")} over ${duration(scale().took)}; the table below has the same.`);
  const draw = canvas.getContext("2d"), colour = colours(), { start, took } = scale();
  draw.scale(ratio, ratio);
  draw.font = "12px system-ui, sans-serif";
  const x = ns => (ns - start) / took * wide, unit = step(took, wide < 500 ? 4 : 8);
  for (const ns of ticks(start, took, unit)) {
    draw.fillStyle = colour.line;
    draw.fillRect(Math.round(x(ns)), fall.top - 4, 1, high + 4);
    draw.fillStyle = colour.faint;
    const text = tick(ns, unit), left = Math.min(x(ns), wide - draw.measureText(text).width);
    draw.fillText(text, left, 12);
  }
  // What would be painted over what is the same already is left out: that is most of 100,000 connections.
  const last = [];
  const paint = (slot, style, left, top, width, high) => {
    const place = Math.round(left) + Math.round(top) * 65536;
    if (each < 1 && width <= 1.5 && last[slot] === place) return;
    last[slot] = place;
    draw.fillStyle = style;
    draw.fillRect(left, top, width, high);
  };
  rows.forEach((item, at) => {
    const y = fall.top + (each < 1 ? Math.floor(at * each) : at * each), tall = Math.max(1, each - gap), lanes = item.far && tall >= 10 ? 2 : 1;
    item.ends.slice(0, lanes).forEach((end, lane) => {
      const part = lanes === 2 ? (tall - 1) / 2 : tall, top = y + lane * (part + 1);
      const thin = Math.min(part, 1), long = ns => Math.max(1, ns / took * wide);
      paint(0, colour.line, x(end.start), top + (part - thin) / 2, long(end.took), thin);
      for (const span of end.phases) paint(1 + span.phase, colour.phases[span.phase], x(span.start), top, long(span.took), part);
      // What failed ends in red.
      if (end.failed) paint(6, colour.error, x(end.start + end.took), top, each < 1 ? 1.5 : 3, part);
    });
  });
  $("waterfall-note").textContent = each < 1
    ? `Up to ${thousands(Math.ceil(1 / each))} connections share a row of pixels, in order of time. Search and sort below for one of them.`
    : rows.some(item => item.far) && each >= 14 ? "A pipe has both its ends: the one that connected above, the one that accepted below." : "";
}

function hover() {
  const box = $("waterfall"), tip = box.querySelector(".tip");
  const under = event => {
    const place = box.getBoundingClientRect();
    const at = Math.floor((event.clientY - place.top - fall.top) / fall.height);
    return [fall.rows[at], event.clientX - place.left, event.clientY - place.top];
  };
  box.onmousemove = event => {
    const [item, x, y] = under(event);
    tip.hidden = !item;
    if (!item) return;
    const { near } = item;
    tip.replaceChildren(el("b", "", `${item.name}  ${near.who}`), item.to, el("br"), near.sentence, el("br"),
      el("span", "faint", `at ${seconds(item.start)} for ${duration(item.took)}`));
    tip.style.left = `${Math.min(x + 14, box.clientWidth - tip.offsetWidth)}px`;
    tip.style.top = `${y + 14}px`;
  };
  box.onmouseleave = () => tip.hidden = true;
  box.onclick = event => { const [item] = under(event); if (item) show(item); };
}

// ---- Bytes over time: sent above the line, received below.

const WIDE = 520, HIGH = 150;

function plotBytes() {
  const [sent, received] = data.bytes, sums = [sent, received].map(all => all.reduce((a, b) => a + b, 0));
  const most = Math.max(1, ...sent, ...received), middle = HIGH / 2, { start, took } = scale();
  const area = (values, sign) => values.map((value, at) => {
    if (!value) return "";
    const x = at / values.length * WIDE, tall = Math.max(1, value / most * (middle - 4));
    return `M${x.toFixed(1)} ${middle}v${(-sign * tall).toFixed(1)}h${(WIDE / values.length).toFixed(2)}V${middle}z`;
  }).join("");
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH + 18}`, role: "img", "aria-label": `${bytes(sums[0])} sent, ${bytes(sums[1])} received over ${duration(scale().took)}` },
    svg("path", { class: "sent", d: area(sent, 1) }), svg("path", { class: "received", d: area(received, -1) }),
    svg("line", { class: "axis", x1: 0, x2: WIDE, y1: middle, y2: middle }));
  const unit = step(took, 4);
  for (const ns of ticks(start, took, unit)) {
    const x = (ns - start) / took * WIDE, label = svg("text", { x, y: HIGH + 14, "text-anchor": x < 12 ? "start" : x > WIDE - 24 ? "end" : "middle" });
    label.append(tick(ns, unit));
    picture.append(label);
  }
  $("plot-bytes").append(picture, el("div", "key",
    el("span", "", el("i", "sent"), el("b", "", bytes(sums[0])), " sent"), el("span", "", el("i", "p3"), el("b", "", bytes(sums[1])), " received"),
    el("span", "", `at most ${bytes(most)} in ${duration(Math.round(took / sent.length))}`)));
}

// ---- Latencies: a histogram whose bins grow with the time, as latencies do.

const PER_DECADE = 10;

function plotLatency(place, values, none) {
  if (!values.length) return $(place).append(el("p", "faint small", none));
  values.sort((a, b) => a - b);
  const bin = ns => Math.floor(Math.log10(Math.max(1, ns)) * PER_DECADE);
  const low = Math.floor(bin(values[0]) / PER_DECADE) * PER_DECADE, high = Math.ceil((bin(values[values.length - 1]) + 1) / PER_DECADE) * PER_DECADE;
  const counts = new Array(high - low).fill(0);
  for (const ns of values) counts[bin(ns) - low]++;
  const most = counts.reduce((a, b) => Math.max(a, b)), wide = WIDE / counts.length, tall = HIGH - 40;
  const at = share => values[Math.min(values.length - 1, Math.floor(values.length * share))];
  const [median, ninety, last] = [at(.5), at(.9), values[values.length - 1]];
  const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH - 14}`, role: "img", "aria-label": `${thousands(values.length)} values; median ${duration(median)}, 90 percent within ${duration(ninety)}, at most ${duration(last)}` });
  counts.forEach((n, at) => {
    const height = n / most * tall;
    if (n) picture.append(svg("rect", { class: "bar", x: at * wide + .75, y: 8 + tall - Math.max(1.5, height), width: wide - 1.5, height: Math.max(1.5, height), rx: 1.5 },
      svg("title", {}, `${duration(Math.round(10 ** ((low + at) / PER_DECADE)))} to ${duration(Math.round(10 ** ((low + at + 1) / PER_DECADE)))}: ${thousands(n)}`)));
  });
  picture.append(svg("line", { class: "axis", x1: 0, x2: WIDE, y1: tall + 8, y2: tall + 8 }));
  for (let edge = low; edge <= high; edge += PER_DECADE) {
    const x = (edge - low) * wide;
    picture.append(svg("text", { x, y: tall + 25, "text-anchor": edge === low ? "start" : edge === high ? "end" : "middle" }, tick(10 ** (edge / PER_DECADE), 10 ** (edge / PER_DECADE)).replace("0.001 µs", "1 ns").replace("0.01 µs", "10 ns").replace("0.1 µs", "100 ns")));
  }
  const x = (Math.log10(Math.max(1, median)) * PER_DECADE - low) * wide;
  picture.append(svg("line", { class: "median", x1: x, x2: x, y1: 0, y2: tall + 8 }));
  const key = el("div", "key");
  for (const [name, ns] of [["median", median], ["90%", ninety], ["most", last]]) key.append(el("span", "", `${name} `, el("b", "", duration(ns))));
  key.append(el("span", "", `of ${thousands(values.length)}`));
  $(place).append(picture, key);
}

// ---- Peers, those of most connections first.

function plotPeers() {
  const peers = new Map();
  for (const item of items) if (item.active && item.near.peer) peers.set(item.near.peer, (peers.get(item.near.peer) || 0) + 1);
  const all = [...peers].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)), box = $("plot-peers");
  if (!all.length) return box.append(el("p", "faint small", "Nothing connected to anybody."));
  for (const [peer, n] of all.slice(0, 6)) {
    const bar = el("i", "");
    bar.style.width = `${n / all[0][1] * 100}%`;
    const row = el("button", "peer", el("span", "", peer), el("span", "", bar), el("span", "", thousands(n)));
    row.type = "button";
    row.title = `Search for ${peer}`;
    row.onclick = () => look(peer);
    box.append(row);
  }
  if (all.length > 6) box.append(el("p", "faint small", `and ${thousands(all.length - 6)} more`));
}

function plots() {
  hover();
  plotBytes();
  plotPeers();
  const of = key => items.filter(item => item.active && item.near[key] !== UNKNOWN).map(item => item.near[key]);
  plotLatency("plot-connect", of("connect"), "Nothing connected to anybody.");
  plotLatency("plot-first", of("firstByte"), "No connection received anything.");
}
