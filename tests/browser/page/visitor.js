// What this page does as a client of MQTT, and what it sees. Each step returns plain values, for whoever drives the
// browser to judge; none judges by itself.

/* global mqtt */

/** A client in this page. */
class Visitor {
  #client;
  #messages = [];
  #arrived = new EventTarget();
  #pubacks = new Map();
  #ended;

  /** Connects. What is seen is CONNACK, or why there was none. */
  connect(url, options) {
    // What is refused once is refused again: no second try may blur the first.
    const client = mqtt.connect(url, { reconnectPeriod: 0, connectTimeout: 60_000, ...options });
    this.#client = client;
    this.#ended = new Promise((resolve) => client.once('close', resolve));
    client.on('message', (topic, payload, packet) => {
      const { qos, properties } = packet;
      this.#messages.push({ topic, text: payload.toString(), qos, properties: { ...properties } });
      this.#arrived.dispatchEvent(new Event('message'));
    });
    client.on('packetreceive', ({ cmd, messageId, reasonCode }) => {
      if (cmd === 'puback') this.#pubacks.set(messageId, reasonCode ?? null);
    });
    return new Promise((resolve) => {
      let error = null;
      client.once('connect', ({ sessionPresent, reasonCode, returnCode }) =>
        resolve({ connected: true, sessionPresent, code: reasonCode ?? returnCode }));
      client.on('error', (fault) => { error ??= fault; });
      client.once('close', () =>
        resolve({ connected: false, code: error?.code ?? null, says: error?.message ?? null }));
    });
  }

  /** Subscribes with QoS 1. What is seen is the code of SUBACK. */
  subscribe(filter) {
    return new Promise((resolve) => {
      this.#client.subscribe(filter, { qos: 1 }, (error, granted, packet) =>
        resolve({ code: packet?.granted?.[0] ?? null, says: error?.message ?? null }));
    });
  }

  /** Publishes with QoS 1. What is seen is PUBACK, and what MQTT.js makes of it. MQTT 3 has no code for it. */
  publish(topic, text) {
    return new Promise((resolve) => {
      this.#client.publish(topic, text, { qos: 1 }, (error, packet) => {
        const acknowledged = this.#pubacks.has(packet?.messageId);
        const code = this.#pubacks.get(packet?.messageId) ?? null;
        this.#pubacks.clear();
        resolve({ acknowledged, code, says: error?.message ?? null });
      });
    });
  }

  /** All messages so far, once one with this topic is among them. */
  async messages(topic) {
    while (!this.#messages.some((message) => message.topic === topic)) {
      await new Promise((resolve) => this.#arrived.addEventListener('message', resolve, { once: true }));
    }
    return this.#messages;
  }

  /** Whether the connection still stands. */
  isConnected() {
    return this.#client.connected;
  }

  /** Says DISCONNECT, and waits for the end. */
  async leave() {
    this.#client.end();
    await this.#ended;
  }
}

/** What a page sees of a WebSocket that it opens by itself: how it came up, or the code with which it closed. */
function knock(url, protocols) {
  return new Promise((resolve) => {
    const socket = new WebSocket(url, protocols);
    socket.onopen = () => {
      resolve({ open: true, protocol: socket.protocol, extensions: socket.extensions });
      socket.close();
    };
    socket.onclose = ({ code }) => resolve({ open: false, code });
  });
}

globalThis.visitor = new Visitor();
globalThis.knock = knock;
