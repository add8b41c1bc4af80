// Loads the contract and connects. Arguments: address, root of the proto files, node_modules.

import { createRequire } from "node:module";
import { join } from "node:path";

const [address, protoRoot, modules] = process.argv.slice(2);
const require = createRequire(join(modules, "client.js"));
const loader = require("@grpc/proto-loader");

export const grpc = require("@grpc/grpc-js");

const definition = loader.loadSync("readstates/v1/readstates.proto", {
  includeDirs: [protoRoot],
  longs: String,
  enums: String,
  defaults: true,
});
const { ReadStatesService } = grpc.loadPackageDefinition(definition).readstates.v1;

// A client on a connection of its own.
export function connect(address, credentials, options = {}) {
  return new ReadStatesService(address, credentials, options);
}

export const client = connect(address, grpc.credentials.createInsecure());

// One unary call, as a promise.
export function call(method, request, options = {}) {
  return new Promise((resolve, reject) => {
    client[method](request, options, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}
