// The page at /: asks the endpoint what any client may ask, and shows it. It decides nothing about quotas.
//
// In the order of this file: small helpers, calls and the key, the map, the table, the alerts, the form, a country's
// page, and what joins them. Whatever an answer says goes into the page as text, never as markup.

const POLL_MS = 5000;
const ALERTS_SHOWN = 100;
const ENTRIES_SHOWN = 25;
const ENTRIES_PLOTTED = 5000;
const METERS_SHOWN = 100;

const STATUS_WORDS = {
  prohibited: "prohibited", unlimited: "no cap", exceeded: "exceeded", exhausted: "exhausted", near_cap: "near cap",
  open: "open",
};

// ------------------------------------------------------------------------------------------------------------ Helpers

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text. */
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const tpp = (amount) => (amount === null ? "—" : whole.format(amount));
const moment = (text) => (text === null ? "—" : `${text.slice(0, 16).replace("T", " ")} UTC`);

/** A share in percent, never rounded across a limit: 99.96 % is not told as 100 %. */
function percent(ratio) {
  return ratio === null ? "—" : `${(Math.floor(ratio * 1000 + 1e-6) / 10).toFixed(1)} %`;
}

const usedAtAll = (quota) => quota.posted_tpp !== 0 || quota.reserved_tpp !== 0;

function statusText(quota) {
  return element("span", { class: `status ${quota.status}` }, STATUS_WORDS[quota.status]);
}

function bar(quota) {
  const fill = element("i");
  const ratio = quota.used_ratio ?? (quota.status === "prohibited" && usedAtAll(quota) ? 1 : null);
  fill.style.width = `${Math.min(ratio ?? 0, 1) * 100}%`;
  const kind = ratio === null ? "none" : quota.status;
  return element("div", { class: "use" },
    element("div", { class: `bar ${kind}`, "aria-hidden": "true" }, fill), element("span", {}, percent(quota.used_ratio)));
}

function table(caption, headings, rows) {
  const cells = (row, name, scope) => row.map((cell, column) => element(
    name, { class: headings[column].startsWith("#") ? "number" : null, scope }, cell));
  return element("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    element("table", {}, element("caption", { class: "visually-hidden" }, caption),
      element("thead", {}, element("tr", {}, ...cells(headings, "th", "col").map((cell) => {
        cell.textContent = cell.textContent.replace("#", "");
        return cell;
      }))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row, "td", null))))));
}

function figures(pairs) {
  return element("dl", { class: "figures" }, ...pairs.map(([name, value]) => element("div", {},
    element("dt", {}, name), element("dd", {}, value))));
}

// -------------------------------------------------------------------------------------------------- Calls and the key

class Problem extends Error {
  constructor(status, told) {
    super(told.detail ?? `The endpoint answered ${status}.`);
    this.status = status;
    this.errors = told.errors ?? [];
  }
}

const key = { changes: 0, declined: false, asking: null };

/** What a call answers; asks for a key where one is needed. Throws Problem. */
async function call(path, options = {}) {
  const changes = key.changes;
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Problem(0, { detail: "The endpoint does not answer." });
  }
  if (answer.ok) return readAnswer(answer);
  const problem = new Problem(answer.status, await answer.json().catch(() => ({})));
  if (problem.status !== 401) throw problem;
  if (changes === key.changes) {
    if (key.declined) throw new Problem(401, { detail: "A key is needed to see anything here." });
    key.asking ??= askForKey().finally(() => { key.asking = null; });
    await key.asking;
  }
  return call(path, options);
}

/** What an answer says. The browser keeps the body while balances are the same; how fresh they are is in the header. */
async function readAnswer(answer) {
  const freshness = answer.headers.get("Quota-Freshness");
  return { ...await answer.json(), ...(freshness && { freshness: JSON.parse(freshness) }) };
}

/** Resolves when a key was given that is in force, or when the person closed the dialog without. */
function askForKey() {
  const dialog = byId("key-dialog");
  key.declined = false;
  byId("key-state").hidden = true;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      key.declined = dialog.returnValue !== "given";
      if (!key.declined) key.changes += 1;
      showKeyButton();
      resolve();
    };
  });
}

byId("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [field, state] = [byId("key"), byId("key-state")];
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/page/session", { method: "POST", headers, body: JSON.stringify({ key: field.value }) })
    .catch(() => null);
  if (answer?.ok) {
    field.value = "";
    localStorage.setItem("keyed", "yes");
    byId("key-dialog").close("given");
    return;
  }
  state.textContent = answer?.status === 401 ? "This key is not in force here."
    : "The endpoint could not check the key; try again.";
  state.hidden = false;
  field.select();
});

function showKeyButton() {
  const [button, keyed] = [byId("key-button"), localStorage.getItem("keyed") !== null];
  button.hidden = !keyed && !key.declined;
  button.textContent = keyed ? "Forget my key" : "Use a key";
}

byId("key-button").addEventListener("click", async () => {
  if (localStorage.getItem("keyed") !== null) {
    const answer = await fetch("/page/session", { method: "DELETE" }).catch(() => null);
    trouble("key", answer?.ok ? null : { message: "The endpoint did not drop the key; try again." });
    if (!answer?.ok) return;
    localStorage.removeItem("keyed");
    location.reload();
  } else {
    await askForKey();
    if (!key.declined) begin();
  }
});

const troubles = new Map();

/** Say what does not work, by what it concerns; null when it works again. */
function trouble(concerning, problem) {
  if (problem === null) troubles.delete(concerning);
  else troubles.set(concerning, problem.message);
  const banner = byId("trouble");
  const text = [...new Set(troubles.values())].join(" ");
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = troubles.size === 0;
}

// ------------------------------------------------------------------------------------------------------------ The map

const LEGEND = [
  ["tier1", "Tier 1, no cap"], ["tier1 used", "Tier 1 with shipments"], ["no-cap", "Tier 2, no cap"],
  ["use0", "Tier 2, nothing used"], ["use1", "under 25 %"], ["use2", "under 50 %"], ["use3", "50 % and more"],
  ["near", "near cap"], ["past", "cap reached or exceeded"], ["tier3", "Tier 3, prohibited"],
  ["tier3 used", "Tier 3 with shipments"],
];
const areas = new Map();

function areaClass(quota) {
  const used = usedAtAll(quota) ? " used" : "";
  switch (quota.status) {
    case "prohibited": return `tier3${used}`;
    case "unlimited": return (quota.tier === 1 ? "tier1" : "no-cap") + used;
    case "exceeded": case "exhausted": return "past";
    case "near_cap": return "near";
    default: return `use${quota.used_ratio === 0 ? 0 : quota.used_ratio < 0.25 ? 1 : quota.used_ratio < 0.5 ? 2 : 3}`;
  }
}

function areaText(quota) {
  const share = quota.used_ratio === null ? `${short.format(quota.posted_tpp)} TPP posted` : percent(quota.used_ratio);
  return `${quota.name}, Tier ${quota.tier}: ${share}, ${STATUS_WORDS[quota.status]}`;
}

async function drawMap() {
  const world = await call("/page/world.json");
  const map = byId("map");
  map.setAttribute("viewBox", `0 0 ${world.width} ${world.height}`);
  for (const [code, d] of Object.entries(world.shapes)) areas.set(code, drawn("path", { d, class: "area" }));
  for (const [code, [cx, cy]] of Object.entries(world.points)) {
    areas.set(code, drawn("circle", { cx, cy, r: world.radius, class: "area" }));
  }
  for (const [code, area] of areas) {
    area.dataset.country = code;
    area.append(drawn("title"));
    area.addEventListener("click", () => { location.hash = `#/${code}`; });
    area.addEventListener("pointerenter", () => { byId("map-hint").textContent = area.textContent; });
    map.append(area);
  }
}

function colourMap(quotas) {
  for (const quota of quotas) {
    const area = areas.get(quota.country);
    if (area === undefined) continue;
    area.setAttribute("class", `area ${areaClass(quota)}`);
    area.firstChild.textContent = areaText(quota);
  }
  const shown = new Set(quotas.map(areaClass));
  byId("legend").replaceChildren(...LEGEND.filter(([kind]) => shown.has(kind) || /^use|near|past/.test(kind)).map(
    ([kind, words]) => element("li", {}, drawn("svg", { viewBox: "0 0 26 16", "aria-hidden": "true" },
      drawn("rect", { width: 26, height: 16, class: `area ${kind}` })), words)));
}

// ---------------------------------------------------------------------------------------------------------- The table

const rows = new Map();
const sorting = { by: "used", descending: true };

const SORT_BY = {
  name: (quota) => quota.name,
  tier: (quota) => quota.tier,
  used: (quota) => quota.used_ratio ?? (quota.status === "prohibited" && usedAtAll(quota) ? Infinity : -1),
  status: (quota) => Object.keys(STATUS_WORDS).indexOf(quota.status),
  posted: (quota) => quota.posted_tpp,
  h100: (quota) => quota.h100_equivalents,
};

function compare(one, other) {
  const [a, b] = [SORT_BY[sorting.by](one), SORT_BY[sorting.by](other)];
  const order = typeof a === "string" ? a.localeCompare(b, "en") : a === b ? 0 : a < b ? -1 : 1;
  return (sorting.descending ? -order : order) || other.posted_tpp - one.posted_tpp
    || one.name.localeCompare(other.name, "en");
}

function rowOf(quota) {
  const row = rows.get(quota.country) ?? element("tr", { "data-country": quota.country },
    element("th", { scope: "row" }, element("a", { href: `#/${quota.country}` })), element("td", { class: "wide" }),
    element("td"), element("td"), element("td", { class: "number wide" }), element("td", { class: "number wide" }));
  rows.set(quota.country, row);
  const [name, tier, used, status, posted, h100] = row.children;
  name.firstChild.textContent = quota.name;
  tier.textContent = quota.tier;
  used.replaceChildren(bar(quota));
  status.replaceChildren(statusText(quota));
  posted.textContent = tpp(quota.posted_tpp);
  h100.textContent = whole.format(quota.h100_equivalents);
  return row;
}

function showTable() {
  if (!seen.quotas) return;
  const [find, tier, everyone] = [byId("find").value.trim().toLowerCase(), byId("tier").value, byId("everyone").checked];
  const found = seen.quotas.items.filter((quota) => (everyone || find || usedAtAll(quota))
    && (!tier || String(quota.tier) === tier)
    && (!find || quota.name.toLowerCase().includes(find) || quota.country.toLowerCase() === find));
  const wanted = found.sort(compare).map(rowOf);
  const body = byId("countries").tBodies[0];
  if (wanted.length !== body.rows.length || wanted.some((row, place) => row !== body.rows[place])) {
    const focused = document.activeElement;
    body.replaceChildren(...wanted);
    if (body.contains(focused)) focused.focus();
  }
  for (const heading of byId("countries").tHead.rows[0].cells) {
    if (heading.dataset.by === sorting.by) {
      heading.setAttribute("aria-sort", sorting.descending ? "descending" : "ascending");
    } else heading.removeAttribute("aria-sort");
  }
  const none = byId("no-rows");
  none.hidden = wanted.length > 0;
  none.textContent = find || tier ? "No country is like that." : `Nothing is posted in ${seen.quotas.items[0].period} yet.`;
}

for (const heading of byId("countries").tHead.rows[0].cells) {
  heading.firstElementChild.addEventListener("click", () => {
    const { by } = heading.dataset;
    sorting.descending = sorting.by === by ? !sorting.descending : !["name", "tier", "status"].includes(by);
    sorting.by = by;
    showTable();
  });
}
for (const id of ["find", "tier", "everyone"]) byId(id).addEventListener("input", showTable);

// --------------------------------------------------------------------------------------------------------- The alerts

const feed = { source: null, told: new Set() };

function alertItem(alert, fresh = false) {
  const where = alert.country && element("a", { href: `#/${alert.country}` }, alert.country);
  return element("li", { class: `${alert.severity}${fresh ? " fresh" : ""}` },
    element("div", { class: "kind" }, element("span", { class: "severity" }, alert.severity),
      element("span", {}, alert.kind), where, element("span", { class: "quiet" }, moment(alert.recorded_at))),
    element("div", {}, alert.message));
}

function tellAlert(alert) {
  if (feed.told.has(alert.alert_id)) return;
  feed.told.add(alert.alert_id);
  const list = byId("feed");
  list.prepend(alertItem(alert, true));
  while (list.children.length > ALERTS_SHOWN) list.lastChild.remove();
  byId("no-alerts").hidden = true;
  refresh();
}

function feedState(words) {
  byId("live").textContent = words;
}

/** What was told so far, then what comes: the stream begins where the list ended, and goes on by itself. */
async function listen() {
  feed.source?.close();
  try {
    const { items } = await call("/v1/alerts?limit=50");
    feed.told = new Set(items.map((alert) => alert.alert_id));
    byId("feed").replaceChildren(...items.map((alert) => alertItem(alert)));
    const none = byId("no-alerts");
    none.hidden = items.length > 0;
    none.textContent = "No alert was told yet.";
    const since = items[0]?.recorded_at ?? "1970-01-01T00:00:00Z";
    feed.source = new EventSource(`/v1/alerts/stream?since=${encodeURIComponent(since)}`);
  } catch (problem) {
    if (problem.status === 403) {
      feedState("This key may not read alerts.");
    } else {
      feedState("not connected");
      if (problem.status !== 401) setTimeout(listen, POLL_MS);
    }
    return;
  }
  const { source } = feed;
  source.onopen = () => feedState("● live");
  source.addEventListener("alert", (event) => tellAlert(JSON.parse(event.data)));
  source.onerror = () => {
    feedState("connecting again…");
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, POLL_MS);
  };
}

// ----------------------------------------------------------------------------------------------------------- The form

const VERDICTS = {
  true: ["fits", "✓ Fits within the quota."],
  false: ["fits-not", "✕ Does not fit: prohibited, or past a limit."],
  null: ["", "– No verdict: something is held, not known yet, or there is nothing to charge."],
};
const LICENSES = { true: "needed", false: "not needed", null: "not decided by this policy" };

function list(words) {
  return element("ul", { class: "plain" }, ...words.map((each) => element("li", {}, each)));
}

function section(heading, ...content) {
  return [element("h3", {}, heading), ...content];
}

function decisionView(decision) {
  const [kind, words] = VERDICTS[decision.fits];
  return [
    element("p", { class: `verdict ${kind}` }, words),
    figures([
      ["Tier", decision.tier === null ? "—" : String(decision.tier)],
      ["Licence", LICENSES[decision.license_required]],
      ["Policy", decision.policy_id],
      ["Rule of its day", decision.regime ? `${decision.regime.id}, ${decision.regime.status.replaceAll("_", " ")}` : "—"],
    ]),
    decision.tier_reason && element("p", {}, `Tier ${decision.tier}: ${decision.tier_reason}.`),
    ...section("In words", list(decision.receipt)),
    ...(decision.lines.length ? section("Lines", table("Lines", ["Part", "#TPP each", "#TPP", "ECCN", "Evidence"],
      decision.lines.map((line) => [line.part, tpp(line.tpp_each), tpp(line.tpp), line.eccn ?? "—", line.evidence]))) : []),
    ...(decision.charges.length ? section("Charge", table("Charge",
      ["Account", "Period", "#TPP", "#Before", "#After", "#Cap", "Then"],
      decision.charges.map((charge) => [charge.account, charge.period, tpp(charge.tpp), tpp(charge.before_tpp),
        tpp(charge.after_tpp), tpp(charge.cap_tpp), statusText(charge)]))) : []),
    ...(decision.held.length ? section("Held", list(decision.held.map((held) => `Line ${held.line}: ${held.reason}`))) : []),
    ...(decision.alerts.length ? section("Alerts it would raise", element("ol", { class: "alerts" },
      ...decision.alerts.map((alert) => alertItem(alert)))) : []),
    ...section("Rules and their sources", table("Rules and their sources", ["Rule", "Source"],
      decision.rules.map((rule) => [rule.rule, rule.source]))),
  ].filter((child) => child !== null);
}

byId("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [state, shown] = [byId("ask-state"), byId("decision")];
  state.textContent = "Assessing…";
  const headers = { "Content-Type": "application/json" };
  try {
    const decision = await call("/v1/assessments", { method: "POST", headers, body: byId("event").value });
    shown.replaceChildren(...decisionView(decision));
    state.textContent = "Assessed; nothing was booked.";
  } catch (problem) {
    shown.replaceChildren(element("p", { class: "verdict fits-not" }, "✕ This cannot be assessed."),
      list(problem.errors.length ? problem.errors.map((error) => `${error.field || "the event"}: ${error.advice}`)
        : [problem.message]));
    state.textContent = "Not assessed.";
  }
  shown.hidden = false;
});

byId("example").addEventListener("click", () => {
  byId("event").value = JSON.stringify({
    id: "what-if-1", shipped_at: `${new Date().toISOString().slice(0, 19)}Z`, destination: "IN",
    consignee: { name: "Example Cloud", country: "IN", headquarters: "IN", role: "end_user" },
    lines: [{ vendor: "NVIDIA", model: "H100 SXM", quantity: 64 }],
  }, null, 2);
});

// --------------------------------------------------------------------------------------------------- A country's page

const open = { country: null, period: null, shown: null, entries: ENTRIES_SHOWN };

/** Every booking of a period, oldest first, as far as one plot can hold; the newest count. */
async function entriesOf(code, period) {
  const items = [];
  for (let cursor = ""; cursor !== null && items.length < ENTRIES_PLOTTED;) {
    const query = new URLSearchParams({ period, limit: "1000", ...(cursor && { cursor }) });
    const page = await call(`/v1/quotas/${code}/entries?${query}`);
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

/** The posted balance by the days on which shipments left, as [milliseconds, TPP], from the period's first day on. */
function balanceOverTime(entries, quota, begin) {
  const posted = entries.filter((entry) => entry.state === "posted");
  const moves = posted.map((entry) => [Math.max(Date.parse(entry.occurred_at), begin), entry.tpp]);
  moves.sort(([one], [other]) => one - other);
  let balance = quota.posted_tpp - moves.reduce((sum, [, each]) => sum + each, 0); // what older entries came to
  return [[begin, balance], ...moves.map(([at, each]) => [at, balance += each])];
}

/** When the quota will be used up, in words. */
function forecastText({ exhausted_on, earliest_on, latest_on, pace_tpp_per_week, method }) {
  const day = latest_on ? `Used up about ${exhausted_on}, between ${earliest_on} and ${latest_on}`
    : exhausted_on ? `Used up about ${exhausted_on}, ${earliest_on} at the earliest, perhaps not in this period`
      : earliest_on ? `Used up on ${earliest_on} at the earliest, more likely not in this period` : "Not used up in this period";
  return `${day}, at ${tpp(pace_tpp_per_week)} TPP a week. ${method}`;
}

/** The recent pace drawn on from today, and on the cap the days between which it may be reached. */
function forecastLines({ exhausted_on, earliest_on, latest_on, pace_tpp_per_week }, quota, today, end, x, y) {
  const until = exhausted_on ? Date.parse(exhausted_on) : end;
  const then = quota.posted_tpp + pace_tpp_per_week * (until - today) / (7 * 86_400_000);
  const pace = drawn("path", { d: `M${x(today)} ${y(quota.posted_tpp)}L${x(until)} ${y(Math.max(0, then))}`, class: "pace" });
  if (!earliest_on) return [pace];
  const latest = latest_on ? Date.parse(latest_on) : end;
  return [pace, drawn("path", { d: `M${x(Date.parse(earliest_on))} ${y(quota.cap_tpp)}H${x(latest)}`, class: "range" })];
}

function plot(entries, quota) {
  const [width, height, left, right, top, bottom] = [900, 300, 70, 76, 16, 28];
  const begin = Date.parse(`${quota.period.slice(0, 4)}-01-01T00:00:00Z`);
  const points = balanceOverTime(entries, quota, begin);
  const end = Math.max(quota.period_end ? Date.parse(quota.period_end) : Date.now(), points.at(-1)[0]);
  const highest = Math.max(quota.cap_tpp ?? 0, ...points.map(([, balance]) => balance), 1) * 1.06;
  const x = (at) => (left + (at - begin) / (end - begin) * (width - left - right)).toFixed(1);
  const y = (amount) => (height - bottom - amount / highest * (height - top - bottom)).toFixed(1);
  const today = Math.min(Math.max(Date.now(), points.at(-1)[0]), end);
  const steps = points.slice(1).map(([at, balance]) => `H${x(at)}V${y(balance)}`).join("");
  const line = `M${x(begin)} ${y(points[0][1])}${steps}H${x(today)}`;
  const across = (amount, kind, words) => [
    drawn("line", { x1: left, x2: width - right, y1: y(amount), y2: y(amount), class: kind }),
    drawn("text", { x: width - right + 6, y: y(amount), dy: "0.35em", class: "label" }, words)];
  const step = 10 ** Math.floor(Math.log10(highest)) * (highest / 10 ** Math.floor(Math.log10(highest)) < 4 ? 0.5 : 2);
  const ticks = Array.from({ length: Math.floor(highest / step) + 1 }, (_, number) => number * step);
  const years = (end - begin) / (366 * 86_400_000);
  const months = Array.from({ length: 48 }, (_, number) => Date.UTC(new Date(begin).getUTCFullYear(), number * (years > 1.1 ? 6 : 2), 1))
    .filter((at) => at < end);
  const words = `Posted balance of ${quota.name} in ${quota.period}, by shipping date: ${tpp(quota.posted_tpp)} TPP`
    + (quota.cap_tpp ? ` of ${tpp(quota.cap_tpp)}` : "") + ". The entries below say the same in words.";
  return drawn("svg", { viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img", "aria-label": words },
    ...ticks.flatMap((amount) => [
      drawn("line", { x1: left, x2: width - right, y1: y(amount), y2: y(amount), class: "grid" }),
      drawn("text", { x: left - 8, y: y(amount), dy: "0.35em", "text-anchor": "end" }, short.format(amount))]),
    ...months.map((at) => drawn("text", { x: x(at), y: height - 8, "text-anchor": "start" },
      new Date(at).toLocaleDateString("en", { month: "short", year: years > 1.1 ? "numeric" : undefined, timeZone: "UTC" }))),
    drawn("path", { d: `${line}V${y(0)}H${x(begin)}Z`, class: "under" }),
    ...(quota.cap_tpp ? (quota.thresholds ?? []).filter(({ level }) => level < 100).flatMap(
      ({ level }) => across(quota.cap_tpp * level / 100, "level", `${level} %`)) : []),
    ...(quota.cap_tpp ? across(quota.cap_tpp, "cap", "cap") : []),
    ...(quota.forecast ? forecastLines(quota.forecast, quota, today, end, x, y) : []),
    drawn("path", { d: line, class: "balance" }));
}

function entriesView(entries) {
  const body = () => table("Entries, the newest first", ["Occurred", "Event", "What", "#TPP", "#Balance after"],
    entries.slice(0, open.entries).map((entry) => [moment(entry.occurred_at), entry.event_key,
      entry.cause + (entry.state === "reserved" ? " (reserved)" : ""), tpp(entry.tpp), tpp(entry.after_tpp)]));
  const holder = element("div", {}, body());
  if (entries.length > open.entries) {
    const more = element("button", { type: "button" }, `Show all ${whole.format(entries.length)}`);
    more.addEventListener("click", () => {
      open.entries = Infinity;
      holder.replaceChildren(body());
      holder.firstChild.focus();
    });
    holder.append(more);
  }
  return holder;
}

function metersView(meters) {
  return table("Companies' own meters", ["Account", "Period", "Used", "#Posted, TPP", "#Cap, TPP", "Status"],
    meters.map((meter) => [meter.account, meter.period, percent(meter.used_ratio), tpp(meter.posted_tpp),
      tpp(meter.cap_tpp), meter.status === null ? "—" : statusText(meter)]));
}

/** The top of a country's page, which stays as it is while balances move: a period that is being typed is not lost. */
function countryTop(quota, heading) {
  const period = element("input", { value: quota.period, size: 9, "aria-label": "Period" });
  const choose = element("form", { class: "head" }, element("a", { href: "#/" }, "← All countries"),
    element("label", {}, "Period ", period), element("button", { type: "submit" }, "Show"));
  choose.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = `#/${quota.country}/${encodeURIComponent(period.value.trim())}`;
  });
  return [element("h1", { tabindex: "-1" }, heading), choose];
}

function countryCards(quota, meters, entries, alerts) {
  const card = (heading, ...content) => element("section", { class: "card" },
    element("div", { class: "head" }, element("h2", {}, heading)), ...content);
  const levels = quota.thresholds?.length
    ? table("Levels", ["Level", "Last crossed"], quota.thresholds.map(
      ({ level, crossed_at }) => [`${level} %`, crossed_at === null ? "not crossed" : moment(crossed_at)]))
    : element("p", { class: "quiet" }, "There is no cap, so there are no levels.");
  const older = entries.length >= ENTRIES_PLOTTED
    ? [element("p", { class: "quiet" }, `Of more bookings the newest ${whole.format(entries.length)} are shown.`)] : [];
  return [
    card("Quota", figures([
      ["Status", statusText(quota)], ["Tier", String(quota.tier)], ["Used", bar(quota)],
      ["Posted, TPP", tpp(quota.posted_tpp)], ["Reserved, TPP", tpp(quota.reserved_tpp)],
      ["Available, TPP", tpp(quota.available_tpp)], ["Cap, TPP", quota.cap_tpp === null ? "no cap" : tpp(quota.cap_tpp)],
      ["As H100", whole.format(quota.h100_equivalents)], ["Lines held", tpp(quota.held_lines)],
      ["Last posted", moment(quota.last_posted_at)], ["Policy", quota.policy_id],
    ])),
    card("Balance over time", entries.length ? plot(entries, quota)
      : element("p", { class: "quiet" }, `Nothing is posted in ${quota.period} yet.`),
    quota.forecast && element("p", { class: "quiet forecast" }, forecastText(quota.forecast)), ...older),
    ...(meters.length ? [card("Companies' own meters", metersView(meters))] : []),
    element("div", { class: "columns" },
      card("Entries", entries.length ? entriesView(entries) : element("p", { class: "quiet" }, "There are none.")),
      element("div", {}, card("Levels", levels), card("Alerts", alerts === null
        ? element("p", { class: "quiet" }, "This key may not read alerts.")
        : alerts.length ? element("ol", { class: "alerts" }, ...alerts.map((alert) => alertItem(alert)))
          : element("p", { class: "quiet" }, "No alert was told about this country.")))),
  ];
}

/** Replace a part of the page, and leave the person where they were: in what has the focus, and in wide tables. */
function replaceInPlace(holder, ...children) {
  const nameOf = (each) => each.getAttribute("aria-label") ?? each.textContent;
  const focused = holder.contains(document.activeElement) ? nameOf(document.activeElement) : null;
  const scrolled = new Map([...holder.querySelectorAll(".scroll")].map((each) => [nameOf(each), each.scrollLeft]));
  holder.replaceChildren(...children);
  for (const each of holder.querySelectorAll(".scroll")) each.scrollLeft = scrolled.get(nameOf(each)) ?? 0;
  if (focused === null) return;
  [...holder.querySelectorAll("a, button, [tabindex]")].find((each) => nameOf(each) === focused)?.focus({ preventScroll: true });
}

async function showCountry() {
  const { country, period } = open;
  const query = period ? `?period=${encodeURIComponent(period)}` : "";
  const quota = await call(`/v1/quotas/${encodeURIComponent(country)}${query}`);
  const { items: meters } = await call(`/v1/accounts?limit=${METERS_SHOWN}&country=${country}`);
  const said = JSON.stringify([{ ...quota, freshness: null }, meters]);
  if (said === open.shown) return;
  const [entries, alerts] = await Promise.all([
    entriesOf(country, quota.period),
    call(`/v1/alerts?limit=30&country=${country}`).then(({ items }) => items, (problem) => {
      if (problem.status === 403) return null;
      throw problem;
    }),
  ]);
  if (country !== open.country || period !== open.period) return; // the person went on meanwhile
  const [page, heading] = [byId("country"), `${quota.name} (${quota.country}), ${quota.period}`];
  if (page.firstChild.textContent !== heading) {
    page.replaceChildren(...countryTop(quota, heading), element("div"));
    page.firstChild.focus();
    document.title = `${quota.name}: compute quota`;
  }
  replaceInPlace(page.lastChild, ...countryCards(quota, meters, entries, alerts));
  open.shown = said;
}

// ---------------------------------------------------------------------------------------------------- What joins them

const seen = { quotas: null, policy: null, map: null };

function showSummary({ items }) {
  const count = (...statuses) => items.filter((quota) => statuses.includes(quota.status)).length;
  const broken = items.filter((quota) => quota.status === "prohibited" && usedAtAll(quota)).length;
  const many = (number, words) => (number ? [`${number} ${words}`] : []);
  const said = [
    ...many(items.filter(usedAtAll).length, "with shipments"), ...many(count("near_cap"), "near the cap"),
    ...many(count("exceeded", "exhausted"), "at or past the cap"), ...many(broken, "prohibited and shipped to"),
  ];
  const text = `${items[0].period}: ${items.length} countries, ${said.join(", ") || "nothing posted yet"}.`;
  if (byId("summary").textContent !== text) byId("summary").textContent = text;
}

function showFreshness({ applied_at, lag_records, lag_s }) {
  const behind = lag_records === null ? "" : lag_records ? `, ${whole.format(lag_records)} records behind`
    : lag_s ? `, no worker has looked for ${whole.format(Math.round(lag_s))} s` : ", nothing behind";
  byId("freshness").textContent = applied_at === null ? "No record was applied yet."
    : `Applied ${moment(applied_at)}${behind}`;
}

const refreshing = { now: false, again: false };

/** Ask anew and show it; asked for meanwhile, once more after that. */
async function refresh() {
  refreshing.again = refreshing.now;
  if (refreshing.now) return;
  refreshing.now = true;
  showMap();
  await showBalances();
  refreshing.now = false;
  if (refreshing.again) refresh();
}

async function showBalances() {
  try {
    const quotas = await call("/v1/quotas");
    seen.quotas = quotas;
    colourMap(quotas.items);
    showTable();
    showSummary(quotas);
    showFreshness(quotas.freshness);
    await showPolicy(quotas);
    if (open.country) await showCountry();
    trouble("balances", null);
  } catch (problem) {
    const old = seen.quotas ? " What is shown is older." : "";
    if (!seen.quotas) byId("summary").textContent = "No balances can be shown now.";
    if (open.country && open.shown === null) byId("country").replaceChildren(element("p", {}, element("a", { href: "#/" }, "← All countries")));
    trouble("balances", { message: problem.message + old });
  }
}

/** The policy's name, asked for when the balances are under one that is not shown yet. */
async function showPolicy({ items }) {
  if (seen.policy === items[0].policy_sha256) return;
  const policy = await call("/v1/policy");
  const regime = policy.regime ? ` (${policy.regime.status.replaceAll("_", " ")})` : "";
  byId("regime").textContent = `${policy.title}${regime}`;
  seen.policy = policy.policy_sha256;
}

/** The map, drawn once; when that fails, it is tried again with the next look at the balances. */
function showMap() {
  seen.map ??= drawMap().then(() => {
    trouble("map", null);
    if (seen.quotas) colourMap(seen.quotas.items);
  }, (problem) => {
    trouble("map", problem);
    seen.map = null;
  });
}

/** `#/` is the world, `#/IN` a country, `#/IN/2025` its period; anything else, such as #main, leaves things as they are. */
function route() {
  const found = /^#\/([A-Z]{2})?(?:\/(.+))?$/.exec(location.hash || "#/");
  if (!found) return;
  open.country = found[1] ?? null;
  open.period = found[2] ? decodeURIComponent(found[2]) : null;
  open.shown = null;
  open.entries = ENTRIES_SHOWN;
  byId("world").hidden = open.country !== null;
  byId("country").hidden = open.country === null;
  if (open.country) {
    byId("country").replaceChildren(element("p", { role: "status" }, "Loading…"));
    scrollTo(0, 0);
  } else document.title = "Compute quotas by country";
  refresh();
}

function begin() {
  route();
  listen();
}

addEventListener("hashchange", route);
setInterval(() => { if (!document.hidden && !key.asking && !key.declined) refresh(); }, POLL_MS);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
showKeyButton();
begin();
