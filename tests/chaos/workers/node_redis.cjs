// node-redis at work: node node_redis.cjs PLAN
"use strict";
const { createClient, createCluster } = require("redis");
const { plan, work } = require("./ledger.cjs");

const client =
  plan.kind === "cluster"
    ? createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${plan.port}` }] })
    : createClient({ url: `redis://127.0.0.1:${plan.port}/${plan.db}` });
client.on("error", () => {}); // Lost connections are told to the calls that need them.
client.connect().then(() => work(plan, client));
