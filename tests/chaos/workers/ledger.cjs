// What one client asked and was told, of keys nobody else touches. `ledger.py` is the same.
"use strict";
const fs = require("node:fs");
const { setTimeout: pause } = require("node:timers/promises");

const LANES = 2;
const TOKENS_PER_LOG = 200;
const PAUSE_MS = 20;
const PAUSE_AFTER_ERROR_MS = 50;
const ERROR_CHARS = 90;

// A generator with a seed (mulberry32): the same plan asks the same.
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Lane {
  constructor(prefix, random) {
    this.prefix = prefix;
    this.random = random;
    this.tokens = 0;
    this.lastCount = 0;
    this.lastLength = 0;
    this.counter = { asked: 0, acknowledged: 0 };
    this.logs = {};
    this.last = null;
    this.unknown = [];
    this.faults = [];
  }

  next() {
    const drawn = this.random();
    if (drawn < 0.35) {
      this.counter.asked += 1;
      return ["incr", `${this.prefix}:counter`];
    }
    if (drawn < 0.6) {
      const key = `${this.prefix}:log:${Math.floor(this.tokens / TOKENS_PER_LOG)}`;
      if (!(key in this.logs)) {
        this.logs[key] = [];
        this.lastLength = 0;
      }
      this.tokens += 1;
      return ["append", key, `${this.tokens};`];
    }
    if (drawn < 0.8) {
      this.tokens += 1;
      return ["set", `${this.prefix}:register`, `v${this.tokens}`];
    }
    return ["get", `${this.prefix}:register`];
  }

  answered([name, key, value], reply) {
    if (name === "incr") {
      this.counter.acknowledged += 1;
      this.check(reply > this.lastCount, `INCR answered ${reply} after ${this.lastCount}`);
      this.lastCount = reply;
    } else if (name === "append") {
      this.check(reply > this.lastLength, `APPEND answered ${reply} after ${this.lastLength}`);
      this.lastLength = reply;
      this.logs[key].push(parseInt(value, 10));
    } else if (name === "set") {
      this.last = value;
    } else {
      const isKnown = reply === this.last || this.unknown.includes(reply);
      this.check(isKnown, `GET answered ${reply} after ${this.last}`);
    }
  }

  // It may have been applied, or be applied yet.
  failed([name, , value]) {
    if (name === "set") this.unknown.push(value);
  }

  check(isSo, fault) {
    if (!isSo) this.faults.push(`${this.prefix}: ${fault}`);
  }
}

async function work(plan, client) {
  const random = seeded(plan.seed);
  const lanes = Array.from({ length: LANES }, (_, at) => new Lane(`${plan.prefix}:${at}`, random));
  const told = { calls: 0, errors: {}, slowest_ms: 0, faults: [], counters: {}, logs: {}, registers: {} };
  let isStopping = false;
  process.on("SIGTERM", () => { isStopping = true; });
  await Promise.all(lanes.map(async (lane) => {
    while (!isStopping) {
      const call = lane.next();
      const started = performance.now();
      try {
        lane.answered(call, await client[call[0]](...call.slice(1)));
        await pause(PAUSE_MS);
      } catch (error) {
        lane.failed(call);
        const text = `${error.constructor.name}: ${error.message}`.replace(/\d+/g, "N").slice(0, ERROR_CHARS);
        told.errors[text] = (told.errors[text] ?? 0) + 1;
        await pause(PAUSE_AFTER_ERROR_MS);
      }
      told.calls += 1;
      told.slowest_ms = Math.max(told.slowest_ms, Math.round(performance.now() - started));
    }
  }));
  for (const lane of lanes) {
    told.faults.push(...lane.faults);
    told.counters[`${lane.prefix}:counter`] = lane.counter;
    Object.assign(told.logs, lane.logs);
    told.registers[`${lane.prefix}:register`] = { last: lane.last, unknown: lane.unknown };
  }
  fs.writeFileSync(`${plan.result}.new`, JSON.stringify(told));
  fs.renameSync(`${plan.result}.new`, plan.result);
  process.exit(0);
}

module.exports = { plan: JSON.parse(process.argv[2]), work };
