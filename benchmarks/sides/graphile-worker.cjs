// graphile-worker with the settings its own page on performance gives for its best figures: 24 jobs at a time, a local
// queue of 500, completions and failures written in batches. Speaks as sides/__init__.py says. Runs where peers.py
// has installed it (NODE_PATH).

"use strict";

const readline = require("node:readline");
const { makeWorkerUtils, run, runMigrations } = require("graphile-worker");
const { Client } = require("pg");

const COUNT = Number(process.env.BENCHMARK_COUNT || 0);
const CONCURRENT = 24;
const CHUNK = 5000; // of 1,000, 5,000 and 50,000 what addJobs is fastest with

const preset = {
  worker: {
    concurrentJobs: CONCURRENT,
    maxPoolSize: CONCURRENT + 1,
    localQueue: { size: 500 },
    completeJobBatchDelay: 0,
    failJobBatchDelay: 0,
  },
};

let bodies = 0;

function say(...words) {
  process.stdout.write(`${words.join(" ")}\n`);
}

function now() {
  return process.hrtime.bigint();
}

const tasks = {
  noop: async () => {
    bodies += 1;
    if (bodies === 1) say("first", now());
    else if (bodies === COUNT) say("last", now());
  },
  clock: async () => say("start", now()),
};

// One line for each job to a log that nobody reads is not what is measured.
const { Logger } = require("@graphile/logger");
const logger = new Logger(() => () => {});

async function worker() {
  const runner = await run({ preset: { worker: { ...preset.worker, logger } }, taskList: tasks, noHandleSignals: false });
  say("ready");
  await runner.promise;
}

async function client() {
  const pg = new Client();
  await pg.connect();
  const seconds = async (work) => {
    const began = now();
    await work();
    return Number(now() - began) / 1e9;
  };
  const utils = await makeWorkerUtils({ preset: { worker: { logger } } });
  const add = (job) => pg.query({ name: "add", text: "select graphile_worker.add_job($1, '{}'::json)", values: [job] });
  const verbs = {
    // As its own test of performance does it: all in one call.
    fill: async (job, count) => {
      const text =
        "select 1 from graphile_worker.add_jobs(array(select json_populate_recordset(null::graphile_worker.job_spec, $1::json)))";
      return seconds(() => {
        const specs = JSON.stringify(Array.from({ length: Number(count) }, () => ({ identifier: job, payload: {} })));
        return pg.query(text, [specs]);
      });
    },
    // By its library, which gives back what it has made.
    libraryFill: async (job, count) =>
      seconds(async () => {
        for (let begin = 0; begin < Number(count); begin += CHUNK) {
          const length = Math.min(CHUNK, Number(count) - begin);
          await utils.addJobs(Array.from({ length }, () => ({ identifier: job, payload: {} })));
        }
      }),
    single: async (job, count) => {
      await add(job);
      return seconds(async () => {
        for (let number = 0; number < Number(count); number += 1) await add(job);
      });
    },
    librarySingle: async (job, count) =>
      seconds(async () => {
        for (let number = 0; number < Number(count); number += 1) await utils.addJob(job, {});
      }),
    one: async (job) => {
      await add(job);
      return now();
    },
  };
  say("ready");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [verb, ...values] = line.trim().split(/\s+/);
    say("done", await verbs[verb](...values));
  }
  await utils.release();
  await pg.end();
}

async function schema() {
  await runMigrations({ preset: { worker: { ...preset.worker, logger } } });
}

const roles = { worker, client, schema };
roles[process.argv[2]]().catch((error) => {
  console.error(error);
  process.exit(1);
});
