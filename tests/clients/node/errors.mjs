// Provokes errors of readstates and finds their reasons in the details that came with them.

import assert from "node:assert/strict";

import { call, client, grpc } from "./client.mjs";

async function failure(method, request, options) {
  return call(method, request, options).then(
    () => assert.fail(`${method} was taken`),
    (error) => error,
  );
}

// The details are a google.rpc.Status; its texts stand in it as they are.
function assertTold(error, ...texts) {
  const [details] = error.metadata.get("grpc-status-details-bin");
  assert.ok(Buffer.isBuffer(details), `no details in ${error}`);
  for (const text of ["google.rpc.ErrorInfo", "readstates", ...texts]) {
    assert.ok(details.includes(text), `no ${text} in the details of ${error}`);
  }
}

const invalid = await failure("Ack", { channelId: "1", messageId: "1" });
assert.equal(invalid.code, grpc.status.INVALID_ARGUMENT);
assertTold(invalid, "INVALID_ID", "google.rpc.BadRequest", "user_id");

const missing = await failure("Get", { userId: "1", channelId: "1" });
assert.equal(missing.code, grpc.status.NOT_FOUND);
assertTold(missing, "READ_STATE_NOT_FOUND");

const ack = { userId: "1", channelId: "1", messageId: "1" };
const { state } = await call("Ack", ack);
const stale = await failure("Ack", { ...ack, messageId: "2", expectedVersion: "0" });
assert.equal(stale.code, grpc.status.ABORTED);
assertTold(stale, "VERSION_MISMATCH", state.version);

const late = await failure("Ack", { ...ack, messageId: "3" }, { deadline: new Date(0) });
assert.equal(late.code, grpc.status.DEADLINE_EXCEEDED);
assert.equal((await call("Ack", { ...ack, messageId: "3" })).state.lastAckedId, "3");

client.close();
console.log("every check passed");
