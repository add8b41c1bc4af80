// Calls unary methods of readstates and checks what they answer; ids are strings, as 64 bits want.

import assert from "node:assert/strict";

import { call, client } from "./client.mjs";

const of = { userId: "18446744073709551615", channelId: "9007199254740993" };

const acked = await call("Ack", { ...of, messageId: "100", flags: 2 });
assert.equal(acked.changed, true);
assert.deepEqual(
  [acked.state.userId, acked.state.channelId, acked.state.lastAckedId, acked.state.flags],
  [of.userId, of.channelId, "100", 2],
);
assert.equal(acked.state.type, "READ_STATE_TYPE_CHANNEL");

const mention = { ...of, messageId: "110" };
assert.equal((await call("Increment", mention)).outcome, "MENTION_OUTCOME_INCREMENTED");
assert.equal((await call("Increment", mention)).outcome, "MENTION_OUTCOME_DUPLICATE");
assert.equal((await call("Get", of)).state.mentionCount, 1);

const userIds = Array.from({ length: 50 }, (_, index) => String(index + 1));
const fanOut = { channelId: "5", messageId: "6", userIds };
assert.equal((await call("FanOut", fanOut)).incremented, 50);
assert.equal((await call("FanOut", fanOut)).duplicate, 50);

const operations = [
  { ack: { userId: "3", channelId: "5", messageId: "6" } },
  { increment: { userId: "3", channelId: "5", messageId: "7" } },
  {},
];
const { results } = await call("Apply", { operations });
assert.deepEqual(results.map((result) => result.code), [0, 0, 3]);
assert.deepEqual(results.map((result) => result.mentionCount), [0, 1, 0]);

const listed = await call("List", { userId: "3" });
assert.deepEqual(listed.states.map((state) => state.channelId), ["5"]);
assert.equal(listed.nextPageToken, "");

// Many calls at once on one connection.
const many = Array.from({ length: 500 }, (_, index) =>
  call("Ack", { userId: "8", channelId: "1", messageId: String(index + 1) }),
);
await Promise.all(many);
assert.equal((await call("Get", { userId: "8", channelId: "1" })).state.lastAckedId, "500");

client.close();
console.log("every check passed");
