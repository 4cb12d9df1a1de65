// ioredis at work: node ioredis.cjs PLAN
"use strict";
const Redis = require("ioredis");
const { plan, work } = require("./ledger.cjs");

const without = { autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0 };
const client =
  plan.kind === "cluster"
    ? new Redis.Cluster([{ host: "127.0.0.1", port: plan.port }])
    : new Redis({ port: plan.port, db: plan.db, ...(plan.kind === "no-retries" ? without : {}) });
client.on("error", () => {}); // Lost connections are told to the calls that need them.
client.once("ready", () => work(plan, client));
