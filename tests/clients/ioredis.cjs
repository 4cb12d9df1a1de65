// ioredis at any-key and cluster doors: node ioredis.cjs '{"anyKey": [7379, ...], "cluster": [7380, ...]}'
"use strict";
const assert = require("node:assert/strict");
const Redis = require("ioredis");

const doors = JSON.parse(process.argv[2]);
const names = Array.from({ length: 60 }, (_, number) => `key:${number}`);
const sorted = (list) => [...list].sort();

function open(Class, ...options) {
  const client = new Class(...options);
  client.on("error", (error) => assert.fail(error));
  return client;
}

async function scanned(client, count) {
  const found = [];
  for await (const part of client.scanStream({ count })) found.push(...part);
  return found;
}

async function single(port, db) {
  const client = open(Redis, { port, db });
  assert.equal(await client.set("a", "1"), "OK");
  assert.equal(await client.incr("a"), 2);
  assert.equal(await client.get("a"), "2");
  assert.equal(await client.get("none"), null);
  assert.deepEqual(await client.getBuffer("a"), Buffer.from("2"));
  await assert.rejects(client.incrby("a", "x"), /value is not an integer or out of range/);
  await assert.rejects(client.call("NOSUCH", "x"), /unknown command 'NOSUCH'/);
  assert.equal(await client.ping("hello"), "hello");
  assert.equal(await client.client("SETNAME", "me"), "OK");
  assert.equal(await client.client("GETNAME"), "me");
  const pipeline = client.pipeline();
  for (const name of names) pipeline.set(name, "1").incr(name);
  const answers = await pipeline.exec();
  assert.ok(answers.every(([error, value], at) => error === null && value === (at % 2 ? 2 : "OK")));
  assert.equal((await client.mget(names)).join(""), "2".repeat(names.length));
  assert.equal(await client.dbsize(), names.length + 1);
  assert.deepEqual(sorted(await client.keys("key:*")), sorted(names));
  assert.deepEqual(sorted(await scanned(client, 7)), sorted(["a", ...names]));
  const step = await client.multi().incr("{t}n").incr("{t}n").get("{t}n").exec();
  assert.deepEqual(step, [[null, 1], [null, 2], [null, "2"]]);
  assert.equal(await client.flushdb(), "OK");
  assert.equal(await client.dbsize(), 0);
  await client.quit();
}

async function byUrl(port) {
  const client = open(Redis, `redis://127.0.0.1:${port}/1`, { connectionName: "worker", enableAutoPipelining: true });
  await Promise.all(names.map((name) => client.incr(name)));
  assert.deepEqual(await Promise.all(names.map((name) => client.incr(name))), names.map(() => 2));
  assert.match(await client.client("INFO"), / name=worker .* db=1 /);
  assert.equal(await client.flushall(), "OK");
  client.disconnect();
}

async function cluster(port, options) {
  const client = open(Redis.Cluster, [{ host: "127.0.0.1", port }], options);
  await Promise.all(names.map((name) => client.set(name, "1")));
  assert.deepEqual(await Promise.all(names.map((name) => client.incr(name))), names.map(() => 2));
  const masters = client.nodes("master");
  assert.deepEqual(sorted(masters.map((one) => one.options.port)), sorted(doors.cluster));
  assert.equal(client.nodes("slave").length, 0);
  const sizes = await Promise.all(masters.map((one) => one.dbsize()));
  assert.equal(sizes.reduce((sum, one) => sum + one), names.length);
  const listed = await Promise.all(masters.map((one) => one.keys("*")));
  assert.deepEqual(sorted(listed.flat()), sorted(names));
  const seen = await Promise.all(masters.map((one) => scanned(one, 10)));
  assert.deepEqual(sorted(seen.flat()), sorted(names));
  const pipeline = client.pipeline();
  for (const tag of [1, 2, 3]) pipeline.incr(`{same}${tag}`);
  assert.deepEqual(await pipeline.exec(), [[null, 1], [null, 1], [null, 1]]);
  const step = await client.multi().incr("{t}n").incr("{t}n").exec();
  assert.deepEqual(step, [[null, 1], [null, 2]]);
  await assert.rejects(client.mget("a", "b", "c"), /CROSSSLOT|same slot/);
  await Promise.all(masters.map((one) => one.flushall()));
  assert.deepEqual(await Promise.all(masters.map((one) => one.dbsize())), masters.map(() => 0));
  await client.quit();
}

async function main() {
  for (const port of doors.anyKey) await single(port, 0);
  await single(doors.anyKey[0], 1);
  await byUrl(doors.anyKey[1]);
  for (const port of [...doors.anyKey.slice(1), ...doors.cluster]) await cluster(port, {});
  await cluster(doors.cluster[0], { enableAutoPipelining: true });
  await cluster(doors.cluster[0], { scaleReads: "slave" });
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
