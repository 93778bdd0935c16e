// Keeps an open page as the server says it is: #live looks again when the stream tells of a change, and now and then
// without one. Where there is no stream (WSGI, a pooler, too many pages) it looks every few seconds. Without JavaScript
// the page is the same, as of its loading.
(() => {
  "use strict";
  const settings = document.currentScript.dataset;
  const OFTEN = 1000 * Number(settings.refresh); // milliseconds between looks without a stream
  const SELDOM = Math.max(OFTEN, 15_000); // with one: ages and heartbeats are told by nobody
  const TRY_AGAIN = 60_000; // until a stream that was refused is asked for again
  const region = () => document.getElementById("live");
  const signal = document.getElementById("signal");
  const pause = document.getElementById("pause");
  if (!region()) return;

  let source = null, timer = 0, again = 0, wanted = false;

  const isPaused = () => sessionStorage.getItem("queue-paused") === "yes";
  const hears = () => source !== null && source.readyState === EventSource.OPEN;
  // Nothing is taken from under the hands of who is filling in a form.
  const isBusy = () => document.activeElement?.matches("main :is(input:not([type=checkbox]), select, textarea)") ?? false;

  function look() {
    wanted = isPaused() || document.hidden || isBusy();
    if (!wanted) htmx.trigger(region(), "look");
    clearTimeout(timer);
    timer = setTimeout(look, hears() ? SELDOM : OFTEN);
  }

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
  document.addEventListener("focusout", () => setTimeout(() => wanted && look()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && begin());

  // What the visitor has opened, scrolled to or stands on stays so when the region is put in anew.
  const name = (element) => `${element.tagName} ${element.id || element.getAttribute("href") || element.name || element.textContent.trim()}`;
  let before = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    // What is beside the region and depends on a state, as a job's buttons, is put in anew when that has changed.
    const fresh = new DOMParser().parseFromString(event.detail.serverResponse, "text/html");
    for (const part of document.querySelectorAll("[data-seen]")) {
      const other = fresh.getElementById(part.id);
      if (other && other.dataset.seen !== part.dataset.seen) part.replaceWith(document.adoptNode(other));
    }
    const inside = region().contains(document.activeElement) ? document.activeElement : null;
    const alike = inside ? [...region().querySelectorAll(inside.tagName)].filter((one) => name(one) === name(inside)) : [];
    before = {
      open: [...region().querySelectorAll("details")].map((one) => one.open),
      scrolled: [...region().querySelectorAll(".scroll, pre")].map((one) => [one.scrollLeft, one.scrollTop]),
      focus: inside && name(inside),
      tag: inside?.tagName,
      place: alike.indexOf(inside),
    };
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (!before) return;
    region().querySelectorAll("details").forEach((one, n) => { if (n in before.open) one.open = before.open[n]; });
    region().querySelectorAll(".scroll, pre").forEach((one, n) => {
      if (n in before.scrolled) [one.scrollLeft, one.scrollTop] = before.scrolled[n];
    });
    if (before.focus) {
      const alike = [...region().querySelectorAll(before.tag)].filter((one) => name(one) === before.focus);
      alike[Math.min(before.place, alike.length - 1)]?.focus({ preventScroll: true });
    }
    before = null;
  });

  open();
  timer = setTimeout(look, OFTEN);
  say();
})();
