// BullMQ: jobs, a worker, retries, a delayed job, a flow of parents and children, events.
"use strict";

const assert = require("node:assert");
const { FlowProducer, Queue, QueueEvents, Worker } = require("bullmq");

const url = new URL(process.argv[2]);
const connection = {
  host: url.hostname,
  port: Number(url.port),
  db: Number(url.pathname.slice(1)),
  maxRetriesPerRequest: null,
};
const options = { connection };

async function main() {
  const queue = new Queue("work", options);
  const events = new QueueEvents("work", options);
  await events.waitUntilReady();
  let tries = 0;
  const worker = new Worker(
    "work",
    async (job) => {
      if (job.name === "flaky" && ++tries < 3) throw new Error("not yet");
      if (job.name === "parent") {
        const values = Object.values(await job.getChildrenValues());
        return values.reduce((sum, one) => sum + one, 0);
      }
      return job.data.one + job.data.two;
    },
    { ...options, concurrency: 5 },
  );

  const plain = await queue.add("add", { one: 2, two: 3 });
  assert.strictEqual(await plain.waitUntilFinished(events, 30000), 5);
  const flaky = await queue.add("flaky", { one: 1, two: 1 }, { attempts: 3 });
  assert.strictEqual(await flaky.waitUntilFinished(events, 30000), 2);
  const later = await queue.add("add", { one: 5, two: 5 }, { delay: 500 });
  assert.strictEqual(await later.waitUntilFinished(events, 30000), 10);
  const many = await queue.addBulk(
    Array.from({ length: 50 }, (_, number) => ({ name: "add", data: { one: number, two: 0 } })),
  );
  for (const [number, job] of many.entries()) {
    assert.strictEqual(await job.waitUntilFinished(events, 30000), number);
  }
  const flow = new FlowProducer(options);
  const tree = await flow.add({
    name: "parent",
    queueName: "work",
    children: [
      { name: "add", queueName: "work", data: { one: 1, two: 2 } },
      { name: "add", queueName: "work", data: { one: 3, two: 4 } },
    ],
  });
  assert.strictEqual(await tree.job.waitUntilFinished(events, 30000), 10);
  assert.ok((await queue.getCompletedCount()) >= 55);

  await worker.close();
  await events.close();
  await flow.close();
  await queue.close();
  console.log("passed");
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
