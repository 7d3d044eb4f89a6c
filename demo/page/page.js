// Keeps the page live: each event names the steps that changed; their arrows
// light up one after the other, and the two parts made by the server are fetched
// anew. Without JavaScript the page shows the same after a reload.
"use strict";

const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 420; // ms a step
const seenKey = "sekisho-demo-seen";
const scrollKey = "sekisho-demo-scroll";
const narrow = matchMedia("(max-width: 56rem)");
const waiting = [];
let playing = false;
let fetching = null;

new EventSource("/events").onmessage = (event) => {
  const news = JSON.parse(event.data);
  const seen = Number(sessionStorage.getItem(seenKey) || 0);
  for (const step of news.steps) {
    const known = waiting.findIndex((other) => other.number === step.number);
    if (known >= 0) waiting[known] = step;
    else if (step.number > seen) waiting.push(step);
  }
  waiting.sort((a, b) => a.number - b.number);
  if (news.first && waiting.length > 12) waiting.splice(0, waiting.length - 12);
  refresh(news.first);
  if (narrow.matches && news.first && waiting.length > 0) document.querySelector(".see").scrollIntoView();
  if (!playing) play();
};

// A button leads to another site and back: stay where one was.
addEventListener("pagehide", () => sessionStorage.setItem(scrollKey, String(scrollY)));
if (!narrow.matches) scrollTo(0, Number(sessionStorage.getItem(scrollKey) || 0));

async function play() {
  playing = true;
  while (waiting.length > 0) {
    const step = waiting.shift();
    sessionStorage.setItem(seenKey, String(step.number));
    light(step);
    await new Promise((resolve) => setTimeout(resolve, pace));
  }
  playing = false;
}

function light(step) {
  const kind = step.refused ? "refused" : "lit";
  for (const id of [`edge-${step.from}-${step.to}`, `box-${step.from}`, `box-${step.to}`]) {
    const part = document.getElementById(id);
    if (!part) continue;
    part.classList.add(kind);
    setTimeout(() => part.classList.remove(kind), Math.max(pace * 4, 1200));
  }
  const line = document.getElementById(`step-${step.number}`);
  if (line) line.classList.add("new");
}

async function refresh(first) {
  if (first) return; // the page was made with them a moment ago
  if (fetching) fetching.abort();
  fetching = new AbortController();
  try {
    const answer = await fetch("/", { signal: fetching.signal });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const id of ["trace", "ids"]) {
      document.getElementById(id).replaceWith(fresh.getElementById(id));
    }
  } catch (fault) {
    if (fault.name !== "AbortError") throw fault;
  }
}
