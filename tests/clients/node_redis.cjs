// node-redis at any-key and cluster doors: node node_redis.cjs '{"anyKey": [7379, ...], "cluster": [7380, ...]}'
"use strict";
const assert = require("node:assert/strict");
const { createClient, createCluster } = require("redis");

const doors = JSON.parse(process.argv[2]);
const names = Array.from({ length: 60 }, (_, number) => `key:${number}`);
const sorted = (list) => [...list].sort();

async function open(client) {
  client.on("error", (error) => assert.fail(error));
  await client.connect();
  return client;
}

async function scanned(client, COUNT) {
  const found = [];
  for await (const part of client.scanIterator({ COUNT })) found.push(...[part].flat());
  return found;
}

async function single(port, db, RESP) {
  const client = await open(createClient({ url: `redis://127.0.0.1:${port}/${db}`, RESP, name: "worker" }));
  assert.equal(await client.set("a", "1"), "OK");
  assert.equal(await client.incr("a"), 2);
  assert.equal(await client.get("a"), "2");
  assert.equal(await client.get("none"), null);
  await assert.rejects(client.sendCommand(["INCRBY", "a", "x"]), /value is not an integer or out of range/);
  await assert.rejects(client.sendCommand(["NOSUCH", "x"]), /unknown command 'NOSUCH'/);
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.clientGetName(), "worker");
  // Commands of one turn of the event loop leave as one pipeline.
  await Promise.all(names.map((name) => client.set(name, "1")));
  assert.deepEqual(await Promise.all(names.map((name) => client.incr(name))), names.map(() => 2));
  assert.equal((await client.mGet(names)).join(""), "2".repeat(names.length));
  assert.equal(await client.dbSize(), names.length + 1);
  assert.deepEqual(sorted(await client.keys("key:*")), sorted(names));
  assert.deepEqual(sorted(await scanned(client, 7)), sorted(["a", ...names]));
  assert.deepEqual(await client.multi().incr("{t}n").incr("{t}n").get("{t}n").exec(), [1, 2, "2"]);
  assert.equal(await client.flushDb(), "OK");
  assert.equal(await client.dbSize(), 0);
  await client.close();
}

async function cluster(port, RESP) {
  const rootNodes = [{ url: `redis://127.0.0.1:${port}` }];
  const client = await open(createCluster({ rootNodes, RESP }));
  await Promise.all(names.map((name) => client.set(name, "1")));
  assert.deepEqual(await Promise.all(names.map((name) => client.incr(name))), names.map(() => 2));
  assert.deepEqual(sorted(client.masters.map((one) => one.port)), sorted(doors.cluster));
  assert.equal(client.replicas.length, 0);
  const masters = await Promise.all(client.masters.map((one) => client.nodeClient(one)));
  const sizes = await Promise.all(masters.map((one) => one.dbSize()));
  assert.equal(sizes.reduce((sum, one) => sum + one), names.length);
  const listed = await Promise.all(masters.map((one) => one.keys("*")));
  assert.deepEqual(sorted(listed.flat()), sorted(names));
  const seen = await Promise.all(masters.map((one) => scanned(one, 10)));
  assert.deepEqual(sorted(seen.flat()), sorted(names));
  assert.deepEqual(await client.multi().incr("{t}n").incr("{t}n").exec(), [1, 2]);
  assert.deepEqual(await client.mGet(["key:1", "key:2", "none"]), ["2", "2", null]); // One per slot.
  await assert.rejects(client.rename("key:1", "key:2"), /CROSSSLOT/);
  await Promise.all(masters.map((one) => one.flushAll()));
  assert.deepEqual(await Promise.all(masters.map((one) => one.dbSize())), masters.map(() => 0));
  await client.close();
}

async function main() {
  const protocol = (at) => 2 + (at % 2);
  for (const [at, port] of doors.anyKey.entries()) await single(port, 0, protocol(at));
  await single(doors.anyKey[0], 1, 2);
  await single(doors.anyKey[1], 1, 3);
  const ports = [...doors.anyKey.slice(1), ...doors.cluster];
  for (const [at, port] of ports.entries()) await cluster(port, protocol(at));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
