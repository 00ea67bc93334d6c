#!/usr/bin/env node
// openai-node, OpenAI's own client, in Node.js. Install it with `npm install --prefix build/bench openai`.
// It sends its own headers; retries are off; its fetch (Node's) reuses connections and supports only HTTP/1.1.
// Node reads NODE_EXTRA_CA_CERTS when it starts, so it must be set to the same file as BENCH_CA.
// Command line, line of figures and exit statuses: see common.lua.
// Invariant: the line is printed only if every response was right.
import { createWriteStream, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

const CANNOT = 3;
const WARM_UP = 1000; // calls before measuring, so that V8 has compiled the code that runs often
const ID = "video_123";

const require = createRequire(new URL("../../build/bench/", import.meta.url));

function end(status, why) {
  console.error(why);
  process.exit(status);
}

function load() {
  try {
    return require("openai").OpenAI;
  } catch {
    end(1, "openai is not installed in build/bench");
  }
}

// Reads a memory size of this process in KiB: VmRSS is the current one, VmHWM the peak.
function memory(name) {
  return Number(readFileSync("/proc/self/status", "utf8").match(new RegExp(`${name}:\\s+(\\d+)`))[1]);
}

// Starts the measurement. Returns a function that ends it, prints the line of figures and exits.
function start() {
  const rss = memory("VmRSS"), cpu = process.cpuUsage(), wall = performance.now();
  return (count) => {
    const seconds = (performance.now() - wall) / 1e3, used = process.cpuUsage(cpu), peak = memory("VmHWM");
    console.log(count, seconds.toFixed(6), ((used.user + used.system) / 1e6).toFixed(6), peak, peak - rss);
    process.exit(0); // idle connections would keep the process alive for some seconds
  };
}

async function call(client) {
  const video = await client.videos.retrieve(ID);
  if (video.id !== ID) throw new Error(`a wrong answer: ${video.id}`);
}

async function one(client, { count }) {
  for (let i = 0; i < WARM_UP; i++) await call(client);
  const finish = start();
  for (let i = 0; i < count; i++) await call(client);
  finish(count);
}

async function many(client, { count, flight }) {
  const finish = start();
  let left = count;
  async function calls() {
    while (left-- > 0) await call(client);
  }
  await Promise.all(Array.from({ length: flight }, calls));
  finish(count);
}

async function download(client, { count, extra }) {
  const finish = start();
  for (let i = 0; i < count; i++) {
    const response = await client.videos.downloadContent(ID);
    await pipeline(Readable.fromWeb(response.body), createWriteStream(extra));
    const { size } = statSync(extra);
    if (size !== Number(response.headers.get("content-length"))) throw new Error(`a wrong answer: ${size}`);
  }
  finish(count);
}

async function main(what = "probe", url, count, flight, extra) {
  const OpenAI = load();
  const version = `openai-node ${require("openai/version").VERSION}, Node.js ${process.version}`;
  if (what === "probe") return console.log(version);
  if (process.env.BENCH_HTTP === "2") end(CANNOT, "no HTTP/2");
  const run = { one, many, download }[what];
  if (!run) end(CANNOT, `not for this client: ${what}`);
  const baseURL = url.slice(0, url.indexOf("/videos/"));
  if (baseURL.startsWith("https:") && process.env.NODE_EXTRA_CA_CERTS !== process.env.BENCH_CA)
    end(1, "NODE_EXTRA_CA_CERTS is not what BENCH_CA is");
  const client = new OpenAI({ apiKey: "sk-bench", baseURL, maxRetries: 0 });
  await run(client, { count: Number(count), flight: Number(flight), extra });
}

await main(...process.argv.slice(2)).catch((error) => end(1, `${error.message} ${error.cause?.cause ?? ""}`));
