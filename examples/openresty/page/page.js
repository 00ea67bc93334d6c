// The page: sends prompts, and shows the films that /events tells of.
// Owns what is on the screen. Invariants: text from people and servers goes in by textContent alone; a film is asked
// for with an id, so that a request which is repeated after a broken connection makes one film.
"use strict";

const RETRIES = 5;
const BUSY = new Set(["asked", "queued", "in_progress", "completed"]);
const TEXTS = {
  asked: "Sending",
  queued: "Waiting for its turn",
  in_progress: "In the making",
  completed: "Fetching the film",
  saved: "Ready",
  unsure: "Nobody knows whether this film is being made: the answer was lost. It is not asked for again.",
  unsent: "The site was interrupted before it asked for this film. Nothing was made: please try again.",
  refused: "Not made: the video server refused it, or could not be used",
  failed: "Failed",
  cancelled: "Cancelled",
  expired: "The video server no longer has this film",
};

const $ = (id) => document.getElementById(id);
const cards = new Map(); // id → { item, film }
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// ---- showing ------------------------------------------------------------------------------------

function describe(film) {
  const text = TEXTS[film.state] || film.state;
  if (film.state === "in_progress" && film.progress) return `${text}: ${Math.round(film.progress)} %`;
  return film.error ? `${text}: ${film.error}` : text;
}

function addCard(film) {
  const item = $("film").content.firstElementChild.cloneNode(true);
  item.querySelector(".prompt").textContent = film.prompt;
  item.querySelector("progress").setAttribute("aria-label", `Progress of: ${film.prompt}`);
  item.dataset.created = film.created;
  // newest first, whatever the order of the events
  const after = [...$("films").children].find((other) => other.dataset.created <= film.created);
  $("films").insertBefore(item, after || null);
  return item;
}

function addPlayer(screen, film) {
  const video = document.createElement("video");
  Object.assign(video, { controls: true, loop: true, playsInline: true, preload: "metadata", src: `/films/${film.id}.mp4` });
  video.setAttribute("aria-label", film.prompt);
  screen.replaceChildren(video);
}

function show(film) {
  const before = cards.get(film.id);
  const item = before ? before.item : addCard(film);
  cards.set(film.id, { item, film });
  item.dataset.state = film.state;
  item.querySelector(".state").textContent = describe(film);
  const bar = item.querySelector("progress");
  if (film.state === "saved") {
    if (bar) addPlayer(item.querySelector(".screen"), film);
  } else if (bar) {
    bar.hidden = !BUSY.has(film.state);
    if (film.state === "in_progress") bar.value = film.progress || 0;
    else if (film.state === "completed") bar.value = 100;
    else bar.removeAttribute("value");
  }
  tell();
}

function tell() {
  const busy = [...cards.values()].filter(({ film }) => BUSY.has(film.state)).length;
  $("status").textContent = busy ? `${busy} in the making` : cards.size ? "" : "None yet.";
}

// ---- following ----------------------------------------------------------------------------------

function follow() {
  const events = new EventSource("/events");
  events.onopen = tell;
  events.onmessage = (event) => show(JSON.parse(event.data));
  events.onerror = () => {
    $("status").textContent = "The connection is lost. Trying again …";
    if (events.readyState === EventSource.CLOSED) setTimeout(follow, 2000); // otherwise it connects by itself
  };
}

// ---- making -------------------------------------------------------------------------------------

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function post(film) {
  for (let left = RETRIES; ; left--) {
    try {
      return await fetch("/films", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(film),
      });
    } catch (problem) {
      if (left === 0) throw problem;
      await sleep(1000);
    }
  }
}

async function make(prompt) {
  const response = await post({ id: newId(), prompt });
  const answer = await response.json().catch(() => ({ error: `The site answers with status ${response.status}.` }));
  if (!response.ok) throw new Error(answer.error);
  if (!cards.has(answer.id)) show(answer);
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("make").disabled = true;
  $("message").textContent = "";
  try {
    await make($("prompt").value);
    $("prompt").value = "";
  } catch (problem) {
    $("message").textContent = problem instanceof TypeError ? "The site can't be reached." : problem.message;
  }
  $("make").disabled = false;
  $("prompt").focus();
});

follow();
