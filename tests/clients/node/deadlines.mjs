// Lets deadlines pass while the server is held up, and while it is not. A retry settles each call.
// The fourth argument is the server's process.

import assert from "node:assert/strict";

import { call, client, grpc } from "./client.mjs";

const ROUNDS = 5;
const CALLS = 40;
// Long enough for the request to be on its way before it passes.
const DEADLINE_MS = 100;
const HASTY_CALLS = 400;
const HASTY_MS_MAX = 4;
const SETTLED_MS = 60_000;

const pid = Number(process.argv[5]);

function mention(userId, messageId) {
  return { userId: String(userId), channelId: "1", messageId: String(messageId) };
}

// Whether the deadline passed before the answer.
async function isLate(request, ms) {
  return call("Increment", request, { deadline: Date.now() + ms }).then(
    () => false,
    (error) => {
      assert.equal(error.code, grpc.status.DEADLINE_EXCEEDED, String(error));
      return true;
    },
  );
}

// Counts once, whatever came of the calls before.
async function settle(request) {
  const answer = await call("Increment", request, { deadline: Date.now() + SETTLED_MS });
  return answer.state.mentionCount;
}

// None is answered in time, as the server stands still; some of them may be done all the same.
async function heldUp(round) {
  const requests = Array.from({ length: CALLS }, (_, user) => mention(1 + user, 1 + round));
  process.kill(pid, "SIGSTOP");
  try {
    const late = await Promise.all(requests.map((request) => isLate(request, DEADLINE_MS)));
    assert.ok(late.every(Boolean), "a server that stands still answered");
  } finally {
    process.kill(pid, "SIGCONT");
  }
  for (const request of requests) {
    assert.equal(await settle(request), 1 + round, JSON.stringify(request));
  }
}

// Connected before the first deadline begins.
await settle(mention(999, 1));
for (let round = 0; round < ROUNDS; round += 1) {
  await heldUp(round);
}

// Of deadlines as short as a call takes some pass, before it, within it or after it.
let late = 0;
for (let messageId = 1; messageId <= HASTY_CALLS; messageId += 1) {
  const request = mention(1000, messageId);
  late += Number(await isLate(request, messageId % (HASTY_MS_MAX + 1)));
  assert.equal(await settle(request), messageId);
}

client.close();
console.log(`${late} of ${HASTY_CALLS} hasty calls were late`);
console.log("every check passed");
