// The dashboard: asks for the status document each second, and shows it. docs/dashboard.md says what its fields mean.
"use strict";

// ------------------------------------------------------------------------------------------------ words and figures

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");

/** Whatever the proxy says is put in as text, never as markup: names of users and nodes come from others. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

/** A figure per second. */
function rate(value) {
  if (value === null || value === undefined) return "–";
  return value < 10 && value !== 0 ? value.toFixed(1) : whole.format(Math.round(value));
}

function percent(share) {
  if (share === null || share === undefined) return "–";
  const hundred = share * 100;
  return `${hundred > 0 && hundred < 99.95 ? hundred.toFixed(1) : hundred.toFixed(0)} %`;
}

function milliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 0.01) return "below 0.01 ms";
  if (ms < 9.95) return `${ms.toFixed(ms < 0.995 ? 2 : 1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return seconds(ms / 1000);
}

function seconds(s) {
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

function bytes(n) {
  if (n === null || n === undefined) return "–";
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) [n, unit] = [n / 1024, unit + 1];
  return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

const plural = (n, one, many) => `${whole.format(n)} ${n === 1 ? one : many}`;

// ------------------------------------------------------------------------------------------------ nodes

const STATES = {
  up: ["good", "● up"],
  out: ["wait", "◆ out"],
  down: ["bad", "✕ down"],
  refused: ["bad", "✕ refused"],
  disabled: ["wait", "■ disabled"],
};
const GATES = {
  open: "Gate open: it shows all that was written",
  filling: "Gate half open: the last writes are on their way",
  closed: "Gate closed: it lags behind what was written",
};
/** Where the gauge's marks are: as the document's `level`. */
const MARKS = [["1 ms", 0.94], ["10 ms", 0.79], ["0.1 s", 0.6], ["1 s", 0.4], ["10 s", 0.2]];
const [TOP, FLOOR] = [20, 100];
const height = (level) => FLOOR - (FLOOR - TOP) * level;

function newNode() {
  const card = $("node").content.firstElementChild.cloneNode(true);
  const scale = card.querySelector(".scale");
  for (const [label, level] of MARKS) {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    const text = document.createElementNS("http://www.w3.org/2000/svg", "text");
    const y = height(level);
    for (const [name, value] of Object.entries({ x1: 122, x2: 126, y1: y, y2: y })) line.setAttribute(name, value);
    text.setAttribute("x", 128);
    text.setAttribute("y", y + 3.5);
    text.textContent = label;
    scale.append(line, text);
  }
  return card;
}

function gateWord(node) {
  if (node.role === "primary") return "Takes writes: the sea itself";
  if (node.state !== "up") return "Gate closed: it serves no reads";
  return GATES[node.gate] ?? "";
}

function showGauge(card, node) {
  const svg = card.querySelector(".gauge");
  const isSource = node.role === "primary" && node.state === "up";
  svg.classList.toggle("is-source", isSource);
  svg.classList.toggle("is-empty", node.level === null && !isSource);
  const level = isSource ? 1 : node.level ?? 0;
  svg.querySelector(".sea").style.transform = `translateY(${TOP}px)`;
  svg.querySelector(".harbour").style.transform = `translateY(${height(level) + (level > 0 ? 0 : 4)}px)`;
  const lifted = { open: 78, filling: 34 }[node.state === "up" ? node.gate : "closed"] ?? 0;
  svg.querySelector(".gate").style.transform = `translateY(${-lifted}px)`;
  const flow = svg.querySelector(".flow");
  const surface = isSource ? TOP : Math.max(FLOOR - lifted, height(level));
  flow.setAttribute("y", surface);
  flow.setAttribute("height", FLOOR - surface);
  svg.querySelector(".scale").style.visibility = isSource ? "hidden" : "visible";
  say(svg.querySelector("title"), isSource
    ? `${node.name} is the primary`
    : `Tide gauge of ${node.name}: ${gateWord(node)}; it is filled to ${Math.round(level * 100)} %`);
}

function showNode(card, node) {
  const [state, word] = STATES[node.state] ?? ["wait", node.state];
  say(card.querySelector(".name"), node.name);
  say(card.querySelector(".role"), node.role ?? "role unknown");
  const badge = card.querySelector(".state");
  badge.dataset.state = state;
  say(badge, word);
  const reason = card.querySelector(".reason");
  reason.hidden = !node.reason;
  say(reason, node.reason ?? "");
  showGauge(card, node);
  say(card.querySelector(".gate-word"), gateWord(node));
  const rows = [["reads/s", rate(node.reads_per_second)]];
  if (node.role !== "replica") rows.push(["writes/s", rate(node.writes_per_second)]);
  rows.push(["other/s", rate(node.other_per_second)], ["in flight", whole.format(node.outstanding)]);
  if (node.role === "replica") {
    rows.push(["behind by", milliseconds(node.staleness_ms)], ["WAL lag", bytes(node.lag_bytes)]);
    rows.push(["catch-up", milliseconds(node.catch_up_ms)], ["share", percent(node.share)]);
  }
  rows.push(["timeline", node.timeline ?? "–"], ["LSN", node.replayed_lsn ?? "–"]);
  showList(card.querySelector("dl"), rows);
  showPool(card, node.pool);
}

function showList(list, rows) {
  const wanted = rows.map(([term]) => term).join("\n");
  if (list.dataset.rows !== wanted) {
    list.replaceChildren(...rows.flatMap(([term]) => [make("dt", "", term), make("dd")]));
    list.dataset.rows = wanted;
  }
  const cells = list.querySelectorAll("dd");
  rows.forEach(([, value], index) => say(cells[index], String(value)));
}

function showPool(card, pool) {
  const limit = pool.limit ?? Math.max(pool.active + pool.idle, 1);
  const width = (n) => `${Math.min(100, (100 * n) / Math.max(limit, 1))}%`;
  card.querySelector(".active").style.width = width(pool.active);
  card.querySelector(".idle").style.width = width(pool.idle);
  const words = card.querySelector(".pool-words");
  const most = pool.limit === null ? "" : ` of at most ${whole.format(pool.limit)}`;
  const waiting = pool.waiting ? `, ${plural(pool.waiting, "client waits", "clients wait")}` : "";
  const text = `Pool: ${whole.format(pool.active)} active, ${whole.format(pool.idle)} idle${most}${waiting}`;
  words.toggleAttribute("data-waiting", pool.waiting > 0);
  say(words, text);
  card.querySelector(".bar").setAttribute("aria-label", text);
}

/** A card per node, kept from one document to the next so that the water moves. */
function showNodes(nodes) {
  const list = $("node-list");
  const cards = new Map([...list.children].map((card) => [card.dataset.node, card]));
  const wanted = nodes.map((node) => {
    const card = cards.get(node.name) ?? newNode();
    card.dataset.node = node.name;
    showNode(card, node);
    return card;
  });
  if (wanted.length !== list.children.length || wanted.some((card, index) => list.children[index] !== card)) {
    list.replaceChildren(...wanted);
  }
}

// ------------------------------------------------------------------------------------------------ the rest of the page

const EVENTS = {
  primary: "is the primary",
  failover: "has become the primary: failover",
  primary_lost: "was the primary, and is lost",
  replica: "follows as a replica",
  lost: "is lost",
  refused: "is refused",
  taken_out: "serves no reads",
  let_in: "serves reads again",
  disabled: "was taken out by hand",
  enabled: "was taken back by hand",
  added: "was added",
  removed: "was removed",
};

function showEvents(database) {
  say($("failovers"), database.failovers
    ? `${plural(database.failovers, "failover", "failovers")} since the start`
    : "No failover since the start");
  const items = database.events.map((event) => {
    const item = make("li", event.event === "failover" ? "failover" : "");
    const at = new Date(event.time_ms);
    const time = make("time", "", at.toLocaleTimeString("en-GB"));
    time.dateTime = at.toISOString();
    time.title = at.toLocaleString("en-GB");
    const detail = event.detail ? `: ${event.detail}` : "";
    item.append(time, make("span", "", `${event.node} ${EVENTS[event.event] ?? event.event}${detail}`));
    return item;
  });
  $("events").replaceChildren(...items);
}

/** Rows of cells; what is no string is an element. The first cell of a row heads it. */
function showTable(id, rows) {
  const table = $(id);
  table.hidden = rows.length === 0;
  const none = table.parentElement.querySelector("p[hidden], p.none") ?? table.nextElementSibling;
  none.classList.add("none");
  none.hidden = rows.length > 0;
  table.tBodies[0].replaceChildren(...rows.map((cells) => {
    const row = make("tr");
    row.append(...cells.map((cell, index) => {
      const element = make("td", index ? "n" : "");
      element.append(cell);
      return element;
    }));
    return row;
  }));
}

function reason(kept) {
  const cell = make("span", "", kept.reason);
  cell.append(make("span", "muted", kept.meaning));
  return cell;
}

function showShapes(shapes) {
  showTable("shapes", shapes.map((shape) => [
    make("span", "shape", shape.text), whole.format(shape.calls), percent(shape.on_replicas / shape.calls),
    milliseconds(shape.mean_ms), milliseconds(shape.longest_ms), seconds(shape.total_seconds),
  ]));
  // Where there is no room for a head, each figure says what it is.
  for (const row of $("shapes").tBodies[0].rows) {
    ["", "calls", "on replicas", "average", "longest", "in all"].forEach((of, index) => { row.cells[index].dataset.of = of; });
  }
}

function showFigures(database) {
  const { offloaded, statements, stale_reads_prevented: prevented, clients } = database;
  const isLately = offloaded.share !== null;
  say($("share"), percent(isLately ? offloaded.share : offloaded.share_since_start));
  const reads = offloaded.share_of_reads === null ? "" : `; of reads ${percent(offloaded.share_of_reads)}`;
  say($("share-about"), isLately
    ? `of the statements of the last seconds ran on replicas${reads}`
    : "of all statements since the start ran on replicas");
  say($("prevented"), whole.format(prevented.total));
  const lately = prevented.per_second === null ? "" : `${rate(prevented.per_second)} per second: `;
  say($("prevented-about"), `${lately}reads that went to the primary instead`);
  const [primary, replica] = [statements.primary_per_second, statements.replica_per_second];
  say($("rate"), primary === null ? "–" : rate(primary + replica));
  say($("rate-about"), primary === null
    ? "measured from the next second on" : `${rate(replica)} on replicas, ${rate(primary)} on the primary`);
  say($("clients"), whole.format(clients.now));
  say($("clients-about"), `${clients.waiting ? plural(clients.waiting, "waits", "wait") : "none waits"}; at most ${whole.format(clients.limit)}`);
}

/** What has been in the last minute, by database. */
const past = new Map();

function remember(status) {
  for (const { name, offloaded, statements } of status.databases) {
    const points = past.get(name) ?? [];
    points.push({
      share: offloaded.share,
      rate: statements.primary_per_second === null
        ? null : statements.primary_per_second + statements.replica_per_second,
    });
    past.set(name, points.slice(-60));
  }
}

function spark(id, values, most) {
  const all = Math.max(values.length, 20);
  const points = values.map((value, index) => [2 + (116 * (all - values.length + index)) / (all - 1), value]);
  const known = points.filter(([, value]) => value !== null);
  const path = known.map(([x, value], index) =>
    `${index ? "L" : "M"}${x.toFixed(1)} ${(29 - 26 * Math.min(1, value / (most || 1))).toFixed(1)}`);
  $(id).firstElementChild.setAttribute("d", known.length > 1 ? path.join("") : "");
}

function notices(status, database) {
  const found = [];
  if (status.stopping) found.push(["wait", "The proxy is stopping: it takes no new clients."]);
  if (!database) return found.concat([["wait", "The proxy has no database."]]);
  if (database.gate !== "open") found.push(["bad", `The database is ${database.gate}: its statements wait (RESUME at the console).`]);
  if (database.disabled) found.push(["wait", "The database is disabled: new clients are turned away."]);
  if (database.mode === "observe") found.push(["wait", "Mode observe: everything runs on the primary."]);
  if (!database.primary) found.push(["bad", "There is no primary: writes wait for one."]);
  return found;
}

let chosen = null;
let latest = null;

function showDatabases(databases) {
  const nav = $("databases");
  nav.hidden = databases.length < 2;
  const names = databases.map(({ name }) => name);
  if (!names.includes(chosen)) chosen = names[0] ?? null;
  if (nav.dataset.names !== names.join("\n")) {
    nav.dataset.names = names.join("\n");
    nav.replaceChildren(...names.map((name) => {
      const button = make("button", "", name);
      button.type = "button";
      button.addEventListener("click", () => {
        chosen = name;
        show(latest);
      });
      return button;
    }));
  }
  [...nav.children].forEach((button, index) => button.setAttribute("aria-pressed", names[index] === chosen));
}

function show(status) {
  latest = status;
  say($("about"), `${status.version}, up ${seconds(status.uptime_seconds)}`);
  showDatabases(status.databases);
  const database = status.databases.find(({ name }) => name === chosen);
  showNotices(notices(status, database));
  $("main").hidden = !database;
  if (!database) return;
  document.title = `${percent(database.offloaded.share ?? database.offloaded.share_since_start)} · ${database.name} · Tidegate`;
  showFigures(database);
  const points = past.get(database.name) ?? [];
  spark("share-spark", points.map((point) => point.share), 1);
  const rates = points.map((point) => point.rate);
  spark("rate-spark", rates, Math.max(...rates.filter((value) => value !== null), 1));
  showNodes(database.nodes);
  showEvents(database);
  showTable("kept", database.kept_on_primary.map((kept) => [reason(kept), rate(kept.per_second), whole.format(kept.total)]));
  showShapes(database.shapes);
  showTable("pins", database.pins.map((pin) => [pin.reason, whole.format(pin.count), seconds(pin.longest_seconds)]));
}

function showNotices(found) {
  const text = found.map(([, words]) => words).join("\n");
  const box = $("notices");
  if (box.dataset.text === text) return;
  box.dataset.text = text;
  box.replaceChildren(...found.map(([state, words]) => {
    const notice = make("p", "", words);
    notice.dataset.state = state;
    return notice;
  }));
}

// ------------------------------------------------------------------------------------------------ the line to the proxy

/** Kept in this page only: neither stored nor put into an address. */
let token = null;
/** A document is late after so many milliseconds. */
const LATE = 5000;
let heard = 0;
/** Since when nothing has come on this line. */
let silent = 0;
let line = null;

function setLink(state, text) {
  $("link").dataset.state = state;
  say($("link"), text);
}

function lost(why) {
  setLink("bad", "✕ connection lost");
  if (!latest) return showNotices([["bad", `${why} Trying again.`]]);
  $("main").setAttribute("data-old", "");
  const age = seconds((Date.now() - heard) / 1000);
  showNotices([["bad", `${why} What is shown is ${age} old. Trying again.`]]);
}

function heardOf(text) {
  heard = silent = Date.now();
  $("main").removeAttribute("data-old");
  $("login").hidden = true;
  setLink("good", "● live");
  const status = JSON.parse(text);
  remember(status);
  show(status);
}

/** Reads server-sent events: of each, the line with its data. */
async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    let end;
    while ((end = rest.indexOf("\n\n")) >= 0) {
      const event = rest.slice(0, end);
      rest = rest.slice(end + 2);
      if (event.startsWith("data: ")) heardOf(event.slice(6));
    }
  }
}

/** Watches until the line breaks. Returns how long to wait before the next attempt, in milliseconds. */
async function watch() {
  line = new AbortController();
  silent = Date.now();
  const headers = token === null ? {} : { Authorization: `Bearer ${token}` };
  // Without credentials of the browser's own: it would ask for a user and a password by itself.
  const response = await fetch("/events", { headers, credentials: "omit", cache: "no-store", signal: line.signal });
  if (response.status === 401) {
    await askForToken(token === null ? "" : "That is not the token.");
    return 0;
  }
  if (!response.ok) {
    lost(`The proxy shows nothing: ${(await response.text()).trim()}.`);
    return response.status === 429 ? 30000 : 5000;
  }
  await read(response.body);
  lost("The proxy has ended the connection.");
  return 1000;
}

function askForToken(complaint) {
  token = null;
  const form = $("login");
  form.hidden = false;
  $("main").hidden = true;
  showNotices([]);
  setLink("wait", "■ token needed");
  say($("login-error"), complaint);
  $("token").value = "";
  $("token").focus();
  return new Promise((resolve) => {
    form.onsubmit = (event) => {
      event.preventDefault();
      token = $("token").value.trim();
      $("token").value = "";
      resolve();
    };
  });
}

async function main() {
  setInterval(() => {
    if (line && $("login").hidden && Date.now() - silent > LATE) {
      lost("The proxy does not answer.");
      line.abort();
    }
  }, 1000);
  for (;;) {
    let pause = 1000;
    try {
      pause = await watch();
    } catch (error) {
      lost("The proxy cannot be reached.");
    }
    line = null;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

main();
