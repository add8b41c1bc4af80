// Calls over TLS, each time on a new connection and again on an old one, until its input ends.
// Arguments: address, root of the proto files, node_modules, file of the authority's certificate.
// Tells how many calls were made.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { connect, grpc } from "./client.mjs";

const [address, , , authority] = process.argv.slice(2);
const credentials = grpc.credentials.createSsl(readFileSync(authority));
// Connections are shared between channels of the same options otherwise.
const fresh = { "grpc.use_local_subchannel_pool": 1 };
const DEADLINE_MS = 30_000;

function ack(client, messageId) {
  const request = { userId: "8", channelId: "1", messageId: String(messageId) };
  const options = { deadline: Date.now() + DEADLINE_MS };
  return new Promise((resolve, reject) => {
    client.Ack(request, options, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

let ended = false;
process.stdin.resume();
process.stdin.on("end", () => (ended = true));

const old = connect(address, credentials, fresh);
let calls = 0;
while (!ended || calls < 10) {
  assert.equal((await ack(old, ++calls)).changed, true);
  const client = connect(address, credentials, fresh);
  assert.equal((await ack(client, ++calls)).changed, true);
  client.close();
  if (calls === 2) console.log("begun");
}
old.close();
console.log(`${calls} calls\nevery check passed`);
