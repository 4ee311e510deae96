// A WHEP client: one peer connection that receives a source's picture, sound
// and results. It makes one attempt; who uses it decides whether to try again.

import { ApiError, address, request } from "./api.js";
import { LABEL } from "./protocol.js";

/** How long gathering candidates may hold the offer: the server's are what counts. */
const GATHER = 1000;

/** What the server offers cannot be played here. */
export class MediaError extends Error {}

/** ICE found no way, or lost it. */
export class IceError extends Error {}

/**
 * @typedef {{
 *   onTrack: (track: MediaStreamTrack, receiver: RTCRtpReceiver) => void,
 *   onChannel: (channel: RTCDataChannel) => void,
 *   onIce: (state: RTCPeerConnectionState) => void }} Hooks
 */

export class Whep {
  /** @type {RTCPeerConnection} */
  pc;
  /** @type {string | null} */
  #session = null;

  constructor() {
    this.pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  }

  /**
   * Offers, and takes the server's answer.
   * @param {string} path of the source's WHEP endpoint
   * @param {Hooks} hooks
   * @param {AbortSignal} signal
   */
  async open(path, hooks, signal) {
    const pc = this.pc;
    pc.ontrack = (e) => hooks.onTrack(e.track, e.receiver);
    pc.onconnectionstatechange = () => hooks.onIce(pc.connectionState);
    pc.ondatachannel = (e) => {
      if (e.channel.label === LABEL) hooks.onChannel(e.channel);
      else e.channel.close();
    };
    pc.addTransceiver("video", { direction: "recvonly" });
    pc.addTransceiver("audio", { direction: "recvonly" });
    // The server opens the channel of results; an offer has room for it only if
    // it has a channel of its own.
    pc.createDataChannel("viewer");
    await pc.setLocalDescription();
    await gathered(pc, signal);
    signal.throwIfAborted();
    const answer = await request(path, {
      method: "POST", signal, body: pc.localDescription?.sdp ?? "",
      headers: { "Content-Type": "application/sdp", Accept: "application/sdp" },
    });
    const where = answer.headers.get("Location");
    if (!where) throw new ApiError(0, "the server's answer names no session");
    this.#session = address(where, answer.url);
    const sdp = await answer.text();
    signal.throwIfAborted();
    try {
      await pc.setRemoteDescription({ type: "answer", sdp });
    } catch (e) {
      throw new MediaError(e instanceof Error ? e.message : String(e));
    }
  }

  /** Leaves: the server is told, even while the page is going away. */
  close() {
    this.pc.ontrack = this.pc.onconnectionstatechange = this.pc.ondatachannel = null;
    this.pc.close();
    if (!this.#session) return;
    const session = this.#session;
    this.#session = null;
    request(session, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

/**
 * Waits until candidates are gathered, not for ever.
 * @param {RTCPeerConnection} pc @param {AbortSignal} signal
 */
function gathered(pc, signal) {
  return new Promise((/** @type {(v?: unknown) => void} */ done) => {
    const timer = setTimeout(end, GATHER);
    function end() {
      clearTimeout(timer);
      pc.removeEventListener("icegatheringstatechange", look);
      signal.removeEventListener("abort", end);
      done();
    }
    function look() {
      if (pc.iceGatheringState === "complete") end();
    }
    pc.addEventListener("icegatheringstatechange", look);
    signal.addEventListener("abort", end);
    look();
  });
}
