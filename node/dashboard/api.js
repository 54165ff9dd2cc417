// The local API: requests with the bearer token, and the event stream with resume.
// The token comes in the address (#token=…), which never leaves the browser, and stays in this tab.

const KEY = "econode.token";
const RETRY_MS = 1000;

export class Refused extends Error {
  constructor(problem, status) {
    super(problem.detail || problem.title || `status ${status}`);
    this.problem = problem;
    this.status = status;
  }
}

export function takeToken() {
  const found = location.hash.match(/^#token=([\w-]+)$/);
  if (found) {
    setToken(found[1]);
    history.replaceState(null, "", "#/");
  }
  return sessionStorage.getItem(KEY) !== null;
}

export function setToken(text) {
  sessionStorage.setItem(KEY, text);
}

function headers(more) {
  return { authorization: `Bearer ${sessionStorage.getItem(KEY)}`, ...more };
}

async function request(path, options) {
  const response = await fetch(path, { ...options, headers: headers(options?.headers) });
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new Refused(problem, response.status);
  }
  return response;
}

/** JSON of a GET. `query`: names and values; those that are null are left out. */
export async function get(path, query = {}) {
  const set = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(set).toString();
  return (await request(text ? `${path}?${text}` : path)).json();
}

export async function getBytes(path, query) {
  const text = new URLSearchParams(query).toString();
  return new Uint8Array(await (await request(`${path}?${text}`)).arrayBuffer());
}

export async function post(path, query, body) {
  const text = new URLSearchParams(query).toString();
  return (await request(`${path}?${text}`, { method: "POST", body })).json();
}

/**
 * Entries of the log from `position` on, one after the other, until `signal` ends it. A broken
 * stream is taken up again after the last entry seen; `onState` hears whether it stands.
 */
export async function follow(committee, position, onEntry, onState, signal) {
  let next = position;
  while (!signal.aborted) {
    try {
      const query = new URLSearchParams({ committee, from: next });
      const response = await request(`/v1/events?${query}`, { signal });
      onState("live");
      for await (const entry of readEvents(response.body)) {
        next = entry.position + 1;
        onEntry(entry);
      }
    } catch (error) {
      if (signal.aborted) return;
      onState(error instanceof Refused ? error.message : "the node does not answer");
    }
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: "));
      if (data.length) yield JSON.parse(data.map((line) => line.slice(6)).join("\n"));
    }
  }
}
