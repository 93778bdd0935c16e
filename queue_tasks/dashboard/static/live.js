// Keeps an open page as the server says it is: #live looks again when the stream tells of a change, and now and then
// without one. Where there is no stream (WSGI, a pooler, too many pages) it looks every few seconds. Without JavaScript
// the page is the same, as of its loading.
(() => {
  "use strict";
  const settings = document.currentScript.dataset;
  const OFTEN = 1000 * Number(settings.refresh); // milliseconds between looks without a stream
  const SELDOM = Math.max(OFTEN, 15_000); // with one: ages and heartbeats are told by nobody
  const TRY_AGAIN = 60_000; // until a stream that was refused is asked for again
  const REST = 4; // times as long as a look took, until the next: one that is slow keeps a fifth of a server's thread busy
  const READY = 100; // milliseconds within which htmx begins a look, unless it is not done yet with what it put in last
  const TOLD = 20; // numbers of jobs that are named
  const region = () => document.getElementById("live");
  const signal = document.getElementById("signal");
  const pause = document.getElementById("pause");
  if (!region()) return;

  let source = null, timer = 0, again = 0;
  let wanted = false, asking = false, pressed = false, begun = 0, rested = 0; // the last two: performance.now()

  const isPaused = () => sessionStorage.getItem("queue-paused") === "yes";
  const hears = () => source !== null && source.readyState === EventSource.OPEN;
  // Nothing is taken from under the hands of who is filling in a form.
  const isBusy = () => document.activeElement?.matches(":is(#live, [data-seen]) :is(input:not([type=checkbox]), select, textarea)") ?? false;
  const mustWait = () => isPaused() || document.hidden || isBusy() || pressed;

  // Look, or as soon as it may be: one look at a time, and none that nobody sees.
  function look() {
    wanted = true;
    if (asking || mustWait()) return;
    clearTimeout(timer);
    const left = rested - performance.now();
    if (left > 0) timer = setTimeout(look, left);
    else {
      timer = setTimeout(look, READY);
      htmx.trigger(region(), "look");
    }
  }

  document.addEventListener("htmx:beforeRequest", () => {
    clearTimeout(timer);
    [asking, wanted, begun] = [true, false, performance.now()];
  });
  document.addEventListener("htmx:afterRequest", () => {
    const now = performance.now();
    [asking, rested] = [false, now + Math.min(REST * (now - begun), OFTEN)];
    clearTimeout(timer);
    if (wanted) look();
    else timer = setTimeout(look, hears() ? SELDOM : OFTEN);
  });

  function open() {
    close();
    if (isPaused() || document.hidden) return;
    source = new EventSource(settings.stream);
    source.addEventListener("open", say);
    source.addEventListener("changed", look);
    source.addEventListener("error", () => {
      // Refused for now; otherwise the browser opens it again by itself.
      if (source?.readyState === EventSource.CLOSED) {
        close();
        again = setTimeout(open, TRY_AGAIN);
      }
      say();
    });
  }

  function close() {
    clearTimeout(again);
    source?.close();
    source = null;
  }

  function say() {
    const words = isPaused() ? "Updates are paused." : hears() ? "Live." : `Looks again every ${settings.refresh} s.`;
    if (signal.textContent !== words) signal.textContent = words;
    signal.dataset.signal = isPaused() ? "paused" : hears() ? "live" : "polls";
    pause.textContent = isPaused() ? "Resume updates" : "Pause updates";
    pause.hidden = false;
  }

  function begin() {
    open();
    look();
    say();
  }

  pause.addEventListener("click", () => {
    sessionStorage.setItem("queue-paused", isPaused() ? "no" : "yes");
    begin();
  });
  document.addEventListener("visibilitychange", begin);
  // A button that is put in anew between its being pressed and let go is not clicked.
  const lookAfterwards = () => setTimeout(() => wanted && look());
  document.addEventListener("pointerdown", () => { pressed = true; });
  for (const end of ["pointerup", "pointercancel", "pointermove", "dragend", "keydown"]) {
    document.addEventListener(end, (event) => {
      // Not every end is told, as of a press on a list that the browser shows.
      if (!pressed || (end === "pointermove" && event.buttons)) return;
      pressed = false;
      lookAfterwards();
    });
  }
  document.addEventListener("focusout", lookAfterwards);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && begin());

  // What the visitor has opened, ticked, scrolled to or stands on stays so when a part of the page is put in anew. Each
  // element is called by the thing it is about, then by what it is.
  const isPane = (one) => one.matches("details, pre, .scroll");
  const called = (one) => [
    one.closest("[data-key]")?.dataset.key,
    one.tagName,
    one.id || one.dataset.name || one.getAttribute("href") || one.name || (isPane(one) ? "" : one.textContent.trim()),
  ].join(" ");

  function elements() {
    const found = new Map(), alike = new Map();
    for (const one of document.querySelectorAll("main :is(a, button, input, select, textarea, summary, details, pre, .scroll)")) {
      const name = called(one), place = alike.get(name) ?? 0;
      alike.set(name, place + 1);
      found.set(`${name} ${place}`, one);
    }
    return found;
  }

  const isChanged = (one) => one.name && (one.tagName === "SELECT" ? !one.selectedOptions[0]?.defaultSelected
    : one.type === "checkbox" ? one.checked !== one.defaultChecked : one.value !== one.defaultValue);

  function noted(one) {
    if (one.tagName === "DETAILS") return { open: one.open };
    if (isPane(one)) return { scrollLeft: one.scrollLeft, scrollTop: one.scrollTop };
    // A form that depends on a state is for that state: what was chosen for another is not.
    if (!region().contains(one) || !isChanged(one)) return null;
    return one.type === "checkbox" ? { checked: one.checked } : { value: one.value };
  }

  let before = null;
  document.addEventListener("htmx:configRequest", (event) => {
    // While some are ticked the list stays where it is: newer jobs would push them off it.
    if (region().querySelector("[name=id]:checked")) event.detail.parameters.upto = region().dataset.upto;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { detail } = event;
    if (!detail.shouldSwap) return;
    if (mustWait()) {
      // Since it was asked for.
      detail.shouldSwap = false;
      wanted = true;
      return;
    }
    const parts = [...elements()].map(([name, one]) => [name, one, noted(one)]);
    before = {
      focus: document.activeElement,
      name: parts.find(([, one]) => one === document.activeElement)?.[0],
      notes: parts.filter(([, , note]) => note).map(([name, , note]) => [name, note]),
      ticked: [...region().querySelectorAll("[name=id]:checked")].map((box) => box.value),
      part: null,
    };
    // What is beside the region and depends on a state, as a job's buttons, is put in anew when that has changed.
    const fresh = new DOMParser().parseFromString(detail.serverResponse, "text/html");
    for (const part of document.querySelectorAll("[data-seen]")) {
      const other = fresh.getElementById(part.id);
      if (!other || other.dataset.seen === part.dataset.seen) continue;
      if (part.contains(before.focus)) before.part = part.id;
      part.replaceWith(document.adoptNode(other));
    }
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (!before) return;
    const now = elements();
    for (const [name, note] of before.notes) {
      const one = now.get(name);
      if (one) Object.assign(one, note);
      if (one?.tagName === "SELECT" && one.selectedIndex < 0) one.selectedIndex = 0;
    }
    const gone = before.ticked.filter((job) => !region().querySelector(`[name=id][value="${job}"]`));
    if (gone.length) tell(gone);
    if (!before.focus?.isConnected) {
      // Not on a button that does something else now.
      const place = document.getElementById(before.part ?? "") ?? now.get(before.name) ?? document.getElementById("main");
      place.focus({ preventScroll: true });
    }
    before = null;
  });

  function tell(jobs) {
    const named = jobs.slice(0, TOLD).join(", ") + (jobs.length > TOLD ? " …" : "");
    const text = jobs.length === 1 ? `Job ${named}, which you had ticked, is` : `${jobs.length} jobs that you had ticked are`;
    document.getElementById("gone").textContent =
      `${text} not in this list any more${jobs.length === 1 ? "" : `: ${named}`}. Nothing will be done to ${jobs.length === 1 ? "it" : "them"}.`;
  }

  open();
  timer = setTimeout(look, OFTEN);
  say();
})();
