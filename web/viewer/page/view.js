// One source in a picture: connection, stage, and the words over the picture
// that say what is wrong. The wall has many of it, the page of a source one.

import { setIcon } from "./icons.js";
import { Live } from "./live.js";
import { Stage } from "./stage.js";
import { Store } from "./state.js";
import { button, el, setText } from "./ui.js";

/** Milliseconds without a frame, while the source runs, before the page says so. */
const PATIENCE = 5000;

export class View {
  el = el("div", "view");
  stage = new Stage();
  store = new Store();
  live;
  source;
  #state = el("div", "state");
  #title = el("b");
  #cause = el("p");
  #sound = button("", "Sound on (M)", () => this.unmute(), "sound");
  #soundText = el("span");
  #blocked = false;
  /** Sound was turned on or off by hand: it is offered no more. */
  #chosen = false;
  #badge = el("p", "badge");
  /** Results before it were made before this viewer came. */
  #joined = Infinity;
  #hidden = false;
  /** @type {((m: import("./protocol.js").Message) => void) | null} */
  onMessage = null;
  /** @type {((c: import("./live.js").Condition) => void) | null} */
  onCondition = null;

  /**
   * @param {import("./api.js").Source} source
   * @param {{sound: boolean, loud?: boolean}} opt sound: with a button for it; loud: on from the start if the browser lets it
   */
  constructor(source, { sound, loud = false }) {
    this.source = source;
    this.stage.video.muted = !loud;
    this.live = new Live(source, {
      onOpen: () => { this.#joined = Infinity; },
      onCondition: (c) => this.#show(c),
      onMessage: (m) => this.#take(m),
      onStream: (s, receivers) => this.#play(s, receivers),
    });
    if (source.aspect) this.stage.el.style.setProperty("--aspect", String(source.aspect));
    this.stage.canvas.setAttribute("aria-label", `Live picture of ${source.title}`);
    this.stage.onFrame = () => {
      this.live.frameShown();
      this.el.classList.add("moving");
      this.#caution();
    };
    const words = el("div");
    words.append(this.#title, this.#cause);
    this.#state.append(el("i", "spinner"), words);
    this.#state.setAttribute("role", "status");
    this.#sound.append(this.#soundText);
    this.#sound.hidden = true;
    this.#badge.hidden = true;
    this.el.append(this.stage.el, this.#badge, this.#state);
    if (sound) this.el.append(this.#sound);
    this.#show(this.live.condition);
    this.live.run();
  }

  close() {
    clearInterval(this.#watch);
    this.live.close();
    this.stage.close();
    this.el.remove();
  }

  /** Not seen: nothing is drawn or matched meanwhile. @param {boolean} hidden */
  hide(hidden) {
    this.#hidden = hidden;
    this.stage.el.hidden = hidden;
    if (hidden) this.#badge.hidden = true;
    else this.stage.reset();
    this.#offerSound();
  }

  /** A picture that should come and does not: said once a second, as long as it is so. */
  #missing() {
    if (this.live.condition.phase !== "playing" || this.#hidden || this.stage.video.paused || this.store.media?.video === "") {
      this.#lastFrame = performance.now();
      return;
    }
    if (performance.now() - this.#lastFrame < PATIENCE || document.hidden) return;
    this.#badge.hidden = false;
    const note = this.store.media?.note;
    const who = this.store.status?.missing.includes("video") ? "source" : "server";
    setText(this.#badge, (this.live.receives ? "The picture comes, but this browser shows none of it" : `No picture comes from the ${who}`) + (note ? `: ${note}` : ""));
  }

  #lastFrame = performance.now();
  #watch = setInterval(() => this.#missing(), 1000);

  /** What must be known of the overlays. */
  #caution() {
    this.#lastFrame = performance.now();
    const { exact, late } = this.stage.counts, tooLate = late > 20 && exact < late / 4;
    const silent = this.store.status?.missing.includes("audio") ?? false;
    this.#badge.hidden = this.#hidden || !(this.stage.approximate || tooLate || silent);
    if (this.#badge.hidden) return;
    setText(this.#badge, silent ? "No sound comes from the source"
      : tooLate ? "Heat maps come after their frames and are not drawn: --sync-delay auto holds the picture for them"
      : "≈ this browser does not tell which frame it shows: overlays are approximate");
  }

  get muted() {
    return this.stage.video.muted;
  }

  /** Browsers hold sound back until a click or a key; some even the picture. */
  unmute() {
    this.#chosen = true;
    this.stage.video.muted = false;
    return this.#start();
  }

  mute() {
    this.#chosen = true;
    this.stage.video.muted = true;
  }

  /** @returns {Promise<void>} */
  async #start() {
    const v = this.stage.video;
    this.#blocked = false;
    try {
      await v.play();
    } catch {
      if (!v.muted) {
        v.muted = true;
        this.#chosen = false;
        return this.#start();
      }
      this.#blocked = v.paused;
    }
    this.#offerSound();
  }

  #offerSound() {
    const stream = this.stage.video.srcObject, sounds = stream instanceof MediaStream && stream.getAudioTracks().length > 0;
    this.#sound.hidden = this.#hidden || !(this.#blocked || (this.stage.video.muted && sounds && !this.#chosen));
    setText(this.#soundText, this.#blocked ? "Play" : "Sound on");
    setIcon(this.#sound, this.#blocked ? "play" : "muted");
  }

  /** @param {MediaStream} stream @param {RTCRtpReceiver[]} receivers */
  #play(stream, receivers) {
    const v = this.stage.video;
    if (v.srcObject !== stream) {
      this.stage.reset();
      v.srcObject = stream;
    }
    this.stage.receiver(receivers.find((r) => r.track.kind === "video") ?? null);
    this.#start();
  }

  /** @param {import("./protocol.js").Message} m */
  #take(m) {
    this.store.take(m);
    if (m.type === "hello") {
      if (this.#joined === Infinity) this.#joined = m.t;
      this.stage.clock(m.base, m.t);
    } else if (m.type === "result" && m.heatmap && !this.#hidden && m.t >= this.#joined) this.stage.heat(m);
    else if (m.type === "media") this.el.classList.toggle("blind", m.video === "");
    this.onMessage?.(m);
  }

  /** @param {import("./live.js").Condition} c */
  #show(c) {
    this.el.dataset.phase = c.phase;
    this.#state.hidden = c.phase === "playing";
    setText(this.#title, c.title);
    setText(this.#cause, c.cause);
    if (c.phase === "playing") this.#offerSound();
    else this.#sound.hidden = true;
    this.onCondition?.(c);
  }
}
