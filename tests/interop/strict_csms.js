// A strict CSMS on npm `ocpp-rpc`, an implementation and schemas that are not ours.
// Arguments: PORT SUBPROTOCOL. Answers the station's CALLs; stdin takes one order a
// line, {"action", "params"} or {"action", "answer"}, what to answer from then on; stdout
// gives one JSON object a line: what the station called, the result of each order, and
// every breach of a schema.
'use strict';
const { RPCServer, createValidator } = require('ocpp-rpc');

const [port, protocol] = process.argv.slice(2);
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');
const now = () => new Date().toISOString();

// ocpp-rpc 2.2.1 names its 2.1 schemas urn:XRequest but looks up urn:X.req.
const renamed = require('ocpp-rpc/lib/schemas/ocpp2_1.json').map((schema) => ({
  ...schema,
  $id: schema.$id.replace(/Request$/, '.req').replace(/Response$/, '.conf'),
}));

const answers = {
  BootNotification: () => ({ currentTime: now(), interval: 300, status: 'Accepted' }),
  Heartbeat: () => ({ currentTime: now() }),
  Authorize: () => ({ idTokenInfo: { status: 'Accepted' } }),
  SignCertificate: () => ({ status: 'Accepted' }),
  TransactionEvent: (params) =>
    params.idToken ? { idTokenInfo: { status: 'Accepted' } } : {},
};

const server = new RPCServer({
  protocols: [protocol],
  strictMode: true,
  strictModeValidators: [createValidator('ocpp2.1', renamed)],
});
let station = null;

server.auth((accept) => accept({}));
server.on('client', (client) => {
  station = client;
  say({ kind: 'link', identity: client.identity, protocol: client.protocol });
  client.on('disconnect', () => say({ kind: 'unlink' }));
  client.on('strictValidationFailure', ({ method, outbound, error }) =>
    say({ kind: 'breach', method, outbound, error: String(error.message) }));
  client.on('badMessage', ({ error }) =>
    say({ kind: 'breach', method: '', outbound: false, error: String(error.message) }));
  client.handle(({ method, params }) => {
    say({ kind: 'call', action: method, params });
    return (answers[method] ?? (() => ({})))(params);
  });
});

const obey = async ({ action, params, answer }) => {
  if (answer) {
    answers[action] = () => answer;
    return say({ kind: 'result', action, result: {} });
  }
  try {
    say({ kind: 'result', action, result: await station.call(action, params) });
  } catch (error) {
    const code = error.rpcErrorCode ?? 'Error';
    say({ kind: 'result', action, error: code, text: String(error.message) });
  }
};

server.listen(Number(port), '127.0.0.1').then((http) => {
  say({ kind: 'ready', port: http.address().port });
});
require('readline')
  .createInterface({ input: process.stdin })
  .on('line', (line) => obey(JSON.parse(line)))
  .on('close', () => process.exit(0));
