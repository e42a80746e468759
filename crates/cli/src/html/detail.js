// One connection, or a pipe: how it ended, its phases, what is worth knowing, its calls as a sequence.

let shown = null, opener = null;

const endName = (end, item) => ({ active: "client", passive: "server", listener: "listener" })[end.role] || (item.far ? `#${end.id}` : "socket");

// How one end looks: its name, its phases as a bar, and how long each took.
function endOf(end, item) {
  const times = el("div", "key");
  for (const span of end.phases) times.append(el("span", "", el("i", `p${span.phase}`), `${data.phases[span.phase]} `, el("b", "", duration(span.took))));
  return el("div", "end", el("span", "", el("b", "", endName(end, item)), " ", el("span", "faint", end.who)), strip(end, item.start, item.took), times);
}

function factsOf(item) {
  const { near, far } = item, facts = [];
  const tell = (name, value) => facts.push([name, value]);
  const way = (b, n) => `${bytes(b)} in ${count(n, "call")}`;
  if (near.role === LISTENER) tell("accepted", thousands(near.accepted));
  else {
    tell("sent", way(near.sentBytes, near.sentCalls));
    tell("received", way(near.receivedBytes, near.receivedCalls));
    if (far && (far.receivedBytes !== near.sentBytes || far.sentBytes !== near.receivedBytes)) {
      tell(`${endName(far, item)} sent`, way(far.sentBytes, far.sentCalls));
      tell(`${endName(far, item)} received`, way(far.receivedBytes, far.receivedCalls));
    }
  }
  if (near.firstByte !== UNKNOWN) tell("first byte after", duration(near.firstByte));
  for (const end of item.ends) {
    const whose = far ? `${endName(end, item)} ` : "";
    if (end.waited > 0 && end.role !== LISTENER) tell(`${whose}waited`, duration(end.waited));
    if (end.again > 0) tell(`${whose}EAGAIN`, thousands(end.again));
    if (end.partial > 0) tell(`${whose}partial writes`, thousands(end.partial));
    if (end.options) tell(`${whose}set`, end.options);
  }
  if (near.silence >= 1e6) tell("longest silence", duration(near.silence));
  if (near.rtt > 0) tell("round trip", duration(near.rtt * 1000));
  if (near.retransmits > 0) tell("retransmits", thousands(near.retransmits));
  if (near.local && near.peer) tell("from", near.local);
  const list = el("dl", "facts");
  for (const [name, value] of facts) list.append(el("div", "", el("dt", "", name), el("dd", "", value)));
  return list;
}

// The calls of both ends, in order: [time, phase, text, duration, failed, arrow, bytes, word, line].
function callsOf(item) {
  let skipped = 0;
  const all = [];
  for (const end of item.ends) {
    const [left, behind, ...calls] = data.calls[end.id] || [0, 0];
    skipped += left;
    calls.forEach(([time, phase, text, took, failed, arrow, size, word, line], at) => {
      // Where calls are left out there is a row that says so.
      if (left && at === behind) all.push({ gap: left, far: end.far, time, whose: endName(end, item) });
      all.push({ far: end.far, time, phase, text, took, failed, arrow, size, word, line });
    });
  }
  all.sort((a, b) => a.time - b.time);
  return [all, skipped, item.ends.some(end => data.calls[end.id])];
}

// ---- The sequence: a lane for each socket, the pipe between them, an arrow for what passes.

const cut = (text, room) => text.length <= room ? text : `${text.slice(0, Math.max(1, room - 1))}…`;

function sequenceOf(item, calls, wide) {
  const row = 26, top = 52, narrow = wide < 560, letter = 7.25;
  const time = narrow ? 0 : 76, left = narrow ? wide * .36 : time + (wide - time) * .31, right = item.far ? (narrow ? wide * .68 : wide - (wide - time) * .29) : wide - (narrow ? 14 : 110);
  const high = top + calls.length * row + 12;
  const label = `Sequence of ${count(calls.filter(call => !call.gap).length, "call")} between ${item.near.who} and ${item.far ? item.far.who : item.near.peer || "its peer"}`;
  const picture = svg("svg", { id: "sequence", viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: "img", "aria-label": label });
  const text = (x, y, anchor, name, words) => picture.append(svg("text", { x, y, "text-anchor": anchor, class: name }, words));
  const room = Math.min(26, Math.floor((right - left) / letter) - 1);
  const names = { active: ["client", "server"], passive: ["server", "client"], listener: ["listener", "clients"] }[item.near.role] || ["program", "peer"];
  text(left, 14, "middle", "name", names[0]);
  text(right, 14, item.far ? "middle" : narrow ? "end" : "middle", "name", names[1]);
  text(left, 32, "middle", "", cut(item.near.who, room));
  text(right, 32, narrow && !item.far ? "end" : "middle", "", item.far ? cut(item.far.who, room) : "not in the trace");
  for (const x of [left, right]) picture.append(svg("line", { class: "lane", x1: x, x2: x, y1: 42, y2: high }));
  let phase = -1;
  calls.forEach((call, at) => {
    const y = top + at * row + row / 2;
    if (call.gap) return text((left + right) / 2, y + 4, "middle", "gap", cut(`··· ${count(call.gap, "call")} of the ${call.whose} ···`, Math.floor((right - left) / letter)));
    const q = `q${Math.min(call.phase, 5)}`;
    const group = svg("g", {}, svg("title", {}, call.line));
    const put = (x, anchor, name, words) => group.append(svg("text", { x, y: y + 4, "text-anchor": anchor, class: name }, words));
    if (!narrow) {
      put(0, "start", "", (call.time / 1e9).toFixed(6));
    }
    if (call.phase < 5 && call.phase !== phase) phase = call.phase;
    const lane = call.far ? right : left, side = call.far ? 1 : -1, room = call.far ? wide - right - 18 : left - time - 18;
    group.append(svg("circle", { class: q, cx: lane, cy: y, r: 4 }));
    const took = call.took > 0 ? ` ${duration(call.took)}` : "";
    const letters = Math.floor(room / letter), words = cut(call.text, letters);
    const caption = svg("text", { x: lane + side * 12, y: y + 4, "text-anchor": call.far ? "start" : "end", class: call.failed ? "failed" : call.phase > 4 ? "" : "call" }, words);
    if (words.length + took.length <= letters) caption.append(svg("tspan", { class: "faint", fill: "var(--faint)" }, took));
    group.append(caption);
    if (call.arrow) {
      // To the right: out of the near lane, or into the far one.
      const out = call.arrow === 1 || call.arrow === 3, rightwards = out !== call.far, signal = call.arrow > 2;
      const a = left + 8, b = right - 8, tip = rightwards ? b : a, back = rightwards ? -7 : 7;
      const words = signal ? call.word : bytes(call.size) + (call.word ? ` ${call.word}` : "");
      const fits = cut(words, Math.floor((b - a - 30) / letter)), half = fits.length * letter / 2 + 8, middle = (a + b) / 2;
      const style = `${signal ? "signal " : ""}${q}`;
      if (middle - half > a) group.append(svg("line", { class: style, x1: a, x2: middle - half, y1: y, y2: y }));
      if (middle + half < b) group.append(svg("line", { class: style, x1: middle + half, x2: b, y1: y, y2: y }));
      group.append(svg("path", { class: q, d: `M${tip} ${y}l${back} -4v8z` }));
      put(middle, "middle", signal ? q : "size", fits);
    }
    picture.append(group);
  });
  return picture;
}

function callList(calls) {
  const list = el("div", "calls");
  for (const call of calls) if (!call.gap) list.append(el("span", "", (call.time / 1e9).toFixed(6)), el("span", "", data.phases[call.phase]), el("span", call.failed ? "error" : "", call.line));
  return list;
}

// ---- Opening, stepping, closing.

function fill(item) {
  const box = $("detail"), { near, far } = item;
  const title = el("h2", "", `${item.name}  ${near.who}`);
  title.id = "detail-title";
  const button = (words, label, act, there = true) => {
    const made = el("button", "", words);
    made.type = "button";
    made.setAttribute("aria-label", label);
    made.title = label;
    made.onclick = act;
    made.disabled = !there;
    return made;
  };
  const at = table.rows.indexOf(item), next = by => table.rows[at + by];
  const nav = el("nav", "", button("←", "Previous connection", () => show(next(-1)), at >= 0 && next(-1)),
    button("→", "Next connection", () => show(next(1)), at >= 0 && next(1)), button("Close", "Close (Escape)", () => box.close()));
  const arrow = near.role === LISTENER ? "" : near.role === "passive" && !far ? "◀── " : "──▶ ";
  const parts = [el("div", "row", title, nav), el("p", "faint", `${near.peer ? arrow : ""}${item.to}, at ${seconds(item.start)} for ${duration(item.took)}`),
    el("p", `verdict ${near.failed ? "error" : near.verdict === "leaked" ? "warning" : ""}`, `${near.sentence}.`)];
  if (far && far.sentence !== near.sentence) parts.push(el("p", "faint", `Seen from the ${endName(far, item)}: ${far.sentence}.`));
  for (const end of item.ends) parts.push(endOf(end, item));
  parts.push(factsOf(item));
  for (const end of item.ends) {
    for (const [name, fact, remedy] of end.notes) parts.push(el("div", "note", el("b", "", name), `: ${far ? `#${end.id}, ` : ""}${fact}`, el("div", "faint small", `→ ${remedy}`)));
  }
  const [calls, skipped, there] = callsOf(item);
  const heading = el("h3", "", "Sequence");
  parts.push(heading);
  if (calls.length) {
    if (skipped) parts.push(el("p", "faint small", `The first and the last calls; ${count(skipped, "call")} in between are left out. All of them: sockshim report --connection ${near.id} --all`));
    parts.push(sequenceOf(item, calls, Math.max(320, Math.min(796, innerWidth - (innerWidth < 640 ? 32 : 64)))));
    const more = el("details", "", el("summary", "", `${count(calls.filter(call => !call.gap).length, "call")} as recorded`));
    more.addEventListener("toggle", () => { if (more.open && !more.querySelector(".calls")) more.append(callList(calls)); });
    parts.push(more);
  } else {
    parts.push(el("p", "faint small", there ? "No calls on it are in the trace." : `Left out, to keep the page small. In the terminal: sockshim report --connection ${near.id}`));
  }
  box.replaceChildren(...parts);
  box.scrollTop = 0;
}

function show(item) {
  const box = $("detail");
  shown = item;
  fill(item);
  if (!box.open) {
    opener = document.activeElement;
    box.showModal();
  }
  const at = table.rows.indexOf(item);
  if (at >= 0) move(at);
  box.querySelector("nav button:last-child").focus();
  history.replaceState(null, "", `#c${item.near.id}`);
}

function follow() {
  const number = /^#c(\d+)$/.exec(location.hash);
  const item = number && items.find(item => item.ends.some(end => end.id === Number(number[1])));
  if (item && item !== shown) show(item);
}

function detailKeys() {
  const box = $("detail");
  box.addEventListener("close", () => {
    shown = null;
    history.replaceState(null, "", location.pathname + location.search);
    (opener && opener !== document.body ? opener : $("table")).focus();
  });
  box.addEventListener("click", event => { if (event.target === box && event.clientX < box.getBoundingClientRect().left) box.close(); });
  box.addEventListener("keydown", event => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = by && table.rows[table.rows.indexOf(shown) + by];
    if (next) show(next);
  });
}
