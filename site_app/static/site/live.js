// Keeps the rows of a page ([data-live] holds them, each has [data-row]) as the server says they are.
//
// The server sends a row's whole HTML; only its parts that differ ([data-part]) are put in, so that pictures do not
// flicker and the keyboard's place is kept. A stream that breaks is opened again with the rows now on the page, and
// begins with their present state: nothing is missed. Without JavaScript the page is the same, as of its loading.

const SOONEST = 500, LATEST = 10_000; // milliseconds until a broken stream is opened again
const GATHER = 600; // milliseconds in which announcements are gathered into one
const SOON = 50; // milliseconds until it is looked again whether something is pressed

const board = document.querySelector("[data-live]");
const signal = document.querySelector("[data-signal]");
const announcer = document.querySelector("[data-announcer]");

const waiting = []; // news that is not on the page yet, oldest first

let source = null;
let wait = SOONEST;
let comeBack = 0;

function open() {
  const address = new URL(board.dataset.live, location.href);
  address.searchParams.set("shown", rows().map((row) => row.dataset.row).join(","));
  if ("liveNew" in board.dataset) address.searchParams.set("new", "1");
  source = new EventSource(address);
  source.addEventListener("open", () => {
    wait = SOONEST;
    show("live", "Live");
  });
  source.addEventListener("row", (event) => {
    waiting.push(JSON.parse(event.data));
    take();
  });
  source.addEventListener("error", () => {
    close();
    show("lost", "Reconnecting");
    comeBack = setTimeout(open, wait);
    wait = Math.min(wait * 2, LATEST);
  });
}

function close() {
  clearTimeout(comeBack);
  source?.close();
}

function rows() {
  return [...board.querySelectorAll("[data-row]")];
}

function show(state, words) {
  signal.hidden = false;
  signal.dataset.signal = state;
  signal.querySelector("[data-signal-text]").textContent = words;
}

// Put in what has come. Not while something is pressed, which is :active until it is let go: a link that moves, or is put
// in anew, in between is not clicked.
function take() {
  if (document.querySelector(":active")) setTimeout(take, SOON);
  else waiting.splice(0).forEach(apply);
}

function apply(news) {
  const there = board.querySelector(`[data-row="${Number(news.id)}"]`);
  if (news.gone) {
    if (there) announce(`${there.dataset.title}: deleted`);
    there?.remove();
    return;
  }
  const template = document.createElement("template");
  template.innerHTML = news.html.trim();
  const fresh = template.content.firstElementChild;
  const before = there?.dataset.state;
  if (there) renew(there, fresh);
  else board.insertBefore(fresh, rows().find((row) => Number(row.dataset.row) < news.id) ?? null);
  if (before !== news.state && ["done", "failed", "retrying"].includes(news.state)) {
    announce(`${news.title}: ${news.state}${news.reason ? `, ${news.reason}` : ""}`);
  }
}

function renew(there, fresh) {
  there.dataset.state = fresh.dataset.state;
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = there.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!old || old.outerHTML === part.outerHTML) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = old.scrollLeft;
    old.replaceWith(part);
    part.scrollLeft = scrolled;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
}

let gathered = [];

function announce(words) {
  if (gathered.length === 0) {
    setTimeout(() => {
      announcer.textContent = gathered.length > 4 ? `${gathered.length} changes, the last: ${gathered.at(-1)}` : gathered.join(". ");
      gathered = [];
    }, GATHER);
  }
  gathered.push(words);
}

if (board) {
  open();
  // A page kept by the browser for the back button must not hold a stream, and comes back with an old state.
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
}
