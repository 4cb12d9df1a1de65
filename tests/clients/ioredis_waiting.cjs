// ioredis given a node that is starting: node ioredis_waiting.cjs '{"anyKey": 7379, "cluster": 7380}'
// Says `connected` once the node has answered, and ends well when commands were carried out.
"use strict";
const assert = require("node:assert/strict");
const Redis = require("ioredis");

const doors = JSON.parse(process.argv[2]);

async function single() {
  const client = new Redis({ port: doors.anyKey, db: 1, maxLoadingRetryTime: 300 });
  client.on("error", (error) => assert.fail(error));
  client.once("connect", () => console.log("connected"));
  assert.equal(await client.set("a", "1"), "OK");
  assert.equal(await client.incr("a"), 2);
  await client.quit();
}

async function cluster() {
  const client = new Redis.Cluster([{ host: "127.0.0.1", port: doors.cluster }], {
    clusterRetryStrategy: () => 200,
    redisOptions: { maxLoadingRetryTime: 300 },
  });
  client.on("error", () => {}); // Each try that finds no slots is told.
  assert.equal(await client.set("c", "1"), "OK");
  assert.equal(await client.incr("c"), 2);
  await client.quit();
}

Promise.all([single(), cluster()]).then(
  () => console.log("done"),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
