// Keeps the page live: each event names the steps that changed; their arrows
// light up one after the other, and the two parts made by the server are fetched
// anew. Without JavaScript the page shows the same after a reload.
"use strict";

const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 420; // ms a step
const glow = 1600; // ms
const scrollKey = "sekisho-demo-scroll";
const narrow = matchMedia("(max-width: 56rem)");
const waiting = []; // steps to be shown, in order
const shown = new Map(); // number of a step to how it was shown
let playing = false;
let fetching = null;

new EventSource("/events").onmessage = (event) => {
  const news = JSON.parse(event.data);
  const from = news.first ? lastVisit(news.steps) : 0;
  for (const step of news.steps) {
    if (step.number < from || shown.get(step.number) === kindOf(step)) continue;
    const known = waiting.findIndex((other) => other.number === step.number);
    if (known >= 0) waiting[known] = step;
    else waiting.push(step);
  }
  waiting.sort((a, b) => a.number - b.number);
  // The page was made with what there was; the first event may know more.
  if (!news.first || news.steps.some((step) => !document.getElementById(`step-${step.number}`))) refresh();
  if (!playing) play();
};

// A button leads to another site and back: stay where one was; on a narrow screen
// go where it can be seen what happened.
addEventListener("pagehide", () => sessionStorage.setItem(scrollKey, String(scrollY)));
if (sessionStorage.getItem(scrollKey) !== null) {
  if (narrow.matches) document.querySelector(".see").scrollIntoView();
  else scrollTo(0, Number(sessionStorage.getItem(scrollKey)));
}

// lastVisit is the number of the step with which the last happening began. It is
// played when the page opens.
function lastVisit(steps) {
  return Math.max(0, ...steps.filter((step) => step.from === "browser").map((step) => step.number));
}

function kindOf(step) {
  return step.refused ? "refused" : "lit";
}

async function play() {
  playing = true;
  while (waiting.length > 0) {
    const step = waiting.shift();
    shown.set(step.number, kindOf(step));
    light(step);
    await new Promise((resolve) => setTimeout(resolve, pace));
  }
  playing = false;
}

// light shows a step in the picture. Arrows of the last happening stay, calmer,
// until a person presses the next button.
function light(step) {
  const kind = kindOf(step);
  if (step.from === "browser") {
    for (const arrow of document.querySelectorAll("path.past")) arrow.classList.remove("lit", "refused", "past");
  }
  const arrow = document.getElementById(`edge-${step.from}-${step.to}`);
  if (arrow) {
    arrow.classList.remove("lit", "refused", "past");
    arrow.classList.add(kind);
    setTimeout(() => arrow.classList.add("past"), glow);
  }
  for (const party of [step.from, step.to]) {
    const box = document.getElementById(`box-${party}`);
    if (!box) continue;
    box.classList.add(kind);
    setTimeout(() => box.classList.remove(kind), glow);
  }
  const line = document.getElementById(`step-${step.number}`);
  if (line) line.classList.add("new");
}

async function refresh() {
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
