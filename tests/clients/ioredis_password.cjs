// ioredis where there is a password: node ioredis_password.cjs '{"anyKey": 7379, "cluster": 7380, "password": "..."}'
"use strict";
const assert = require("node:assert/strict");
const Redis = require("ioredis");

const { anyKey, cluster, password } = JSON.parse(process.argv[2]);

async function works(client) {
  client.on("error", (error) => assert.fail(error));
  assert.equal(await client.set("{i}a", "1"), "OK");
  assert.equal(await client.incr("{i}a"), 2);
  await client.quit();
}

async function isRefused(options, text) {
  const client = new Redis({ port: anyKey, lazyConnect: true, retryStrategy: () => null, ...options });
  client.on("error", () => {});
  await assert.rejects(client.get("a"), text);
  client.disconnect();
}

async function main() {
  await works(new Redis({ port: anyKey, password }));
  await works(new Redis({ port: anyKey, username: "default", password }));
  await works(new Redis(`redis://:${encodeURIComponent(password)}@127.0.0.1:${anyKey}/1`));
  await works(new Redis.Cluster([{ host: "127.0.0.1", port: cluster }], { redisOptions: { password } }));
  await isRefused({ enableReadyCheck: false }, /NOAUTH/);
  await isRefused({ password: "wrong" }, /WRONGPASS|Connection is closed/);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
