// Server-Sent Events over fetch, since EventSource cannot carry a token. Pure
// but for readEvents, which reads a response's body.

/** @typedef {{event: string, id: string, data: string}} ServerEvent */

/** Longer than any event of ours; more is a fault, not a reason to fill memory. */
const MAX_EVENT = 4 << 20;

/** Cuts a stream of text into events, whatever the pieces it comes in. */
export class EventParser {
  #rest = "";
  #data = "";
  #event = "";
  #id = "";
  #first = true;

  /**
   * @param {string} piece
   * @returns {ServerEvent[]}
   */
  push(piece) {
    if (this.#first && piece) {
      this.#first = false;
      if (piece.charCodeAt(0) === 0xfeff) piece = piece.slice(1);
    }
    this.#rest += piece;
    /** @type {ServerEvent[]} */
    const out = [];
    let from = 0;
    for (;;) {
      const end = this.#lineEnd(from);
      if (!end) break;
      this.#line(this.#rest.slice(from, end.at), out);
      from = end.next;
    }
    this.#rest = this.#rest.slice(from);
    if (this.#rest.length + this.#data.length > MAX_EVENT) throw new Error(`an event over ${MAX_EVENT} characters`);
    return out;
  }

  /** A line ends with LF, CR LF or CR; a CR at the very end may have its LF still to come. @param {number} from */
  #lineEnd(from) {
    for (let i = from; i < this.#rest.length; i++) {
      const c = this.#rest.charCodeAt(i);
      if (c === 10) return { at: i, next: i + 1 };
      if (c === 13) {
        if (i + 1 === this.#rest.length) return null;
        return { at: i, next: this.#rest.charCodeAt(i + 1) === 10 ? i + 2 : i + 1 };
      }
    }
    return null;
  }

  /** @param {string} line @param {ServerEvent[]} out */
  #line(line, out) {
    if (line === "") {
      if (this.#data) out.push({ event: this.#event || "message", id: this.#id, data: this.#data.slice(0, -1) });
      this.#data = "";
      this.#event = "";
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data += value + "\n";
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }
}

/**
 * Reads events until the body ends or the request is aborted.
 * @param {Response} response
 * @param {(e: ServerEvent) => void} each
 */
export async function readEvents(response, each) {
  if (!response.body) throw new Error("no body to read events from");
  const parser = new EventParser(), text = new TextDecoder(), reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const e of parser.push(text.decode(value, { stream: true }))) each(e);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
