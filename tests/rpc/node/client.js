// client.js ADDRESS: @grpc/grpc-js against echo_server.  Silent, status 0 when
// all is well.  Found by NODE_PATH: @grpc/grpc-js and @grpc/proto-loader.
'use strict';
const assert = require('assert');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const root = path.join(__dirname, '..', '..', '..');
const load = (file, ...include) =>
  grpc.loadPackageDefinition(loader.loadSync(file, {
    keepCase: true, longs: Number, defaults: true,
    includeDirs: [...include, '/usr/include'],
  }));
const { retrovue } = load('echo.proto', path.join(root, 'tests', 'rpc'));
const health = load('grpc/health/v1/health.proto', path.join(root, 'proto')).grpc.health.v1;
const reflection =
  load('grpc/reflection/v1/reflection.proto', path.join(root, 'proto')).grpc.reflection.v1;

const address = process.argv[2];
const insecure = grpc.credentials.createInsecure();
const client = new retrovue.test.Echo(address, insecure);
const zipping = new retrovue.test.Echo(address, insecure,
  { 'grpc.default_compression_algorithm': 2 });

const soon = (ms = 20000) => ({ deadline: Date.now() + ms });
const call = (on, name, request, options = soon(), metadata = new grpc.Metadata()) =>
  new Promise((resolve, reject) => on[name](request, metadata, options,
    (error, answer) => (error ? reject(error) : resolve(answer))));
const fails = (code, promise, details) => assert.rejects(promise, (error) => {
  assert.strictEqual(error.code, code, error.message);
  if (details !== undefined) assert.strictEqual(error.details, details);
  return true;
});
const all = (stream) => new Promise((resolve, reject) => {
  const seen = [];
  stream.on('data', (answer) => seen.push(answer));
  stream.on('error', reject);
  stream.on('end', () => resolve(seen));
});

async function unary() {
  const data = Buffer.alloc(200000, 7);
  for (const on of [client, zipping]) {
    const answer = await call(on, 'Echo', { text: 'grüße ✓', data });
    assert.strictEqual(answer.text, 'grüße ✓');
    assert.ok(answer.data.equals(data));
  }
  const metadata = new grpc.Metadata();
  metadata.set('a-key', 'a value');
  const answer = await call(client, 'Echo', { metadata_key: 'a-key' }, soon(), metadata);
  assert.strictEqual(answer.metadata, 'a value');
  const text = 'plan /ä.json:3: 100% wrong';
  await fails(grpc.status.INVALID_ARGUMENT,
    call(client, 'Echo', { text, fail_kind: 'input' }), text);
  await fails(grpc.status.RESOURCE_EXHAUSTED,
    call(client, 'Echo', { data: Buffer.alloc(300000) }));
  await fails(grpc.status.RESOURCE_EXHAUSTED,
    call(zipping, 'Echo', { data: Buffer.alloc(50 << 20) }));
  await fails(grpc.status.DEADLINE_EXCEEDED,
    call(client, 'Echo', { wait_ms: 3600000 }, soon(200)));
}

async function many() {
  const answers = await Promise.all([...Array(1000).keys()].map((i) =>
    call(client, 'Echo', { text: String(i), wait_ms: i % 20 })));
  answers.forEach((answer, i) => assert.strictEqual(answer.text, String(i)));
  const running = client.Echo({ wait_ms: 3600000 }, () => {});
  setTimeout(() => running.cancel(), 50);
  for (let i = 0; i < 1000; i++) {
    const stats = await call(client, 'Stats', {});
    if (stats.held === 0 && stats.open_calls === 1) return;
  }
  assert.fail('a cancelled call is still held');
}

async function streams() {
  const stream = client.Repeat(soon());
  const texts = [...Array(200).keys()].map(String);
  const seen = all(stream);
  texts.forEach((text) => stream.write({ text }));
  stream.end();
  assert.deepStrictEqual((await seen).map((answer) => answer.text), texts);
}

async function services() {
  const on = new health.Health(address, insecure);
  assert.strictEqual((await call(on, 'Check', {})).status, 1);
  await fails(grpc.status.NOT_FOUND, call(on, 'Check', { service: 'x' }));
  const asking = new reflection.ServerReflection(address, insecure);
  const stream = asking.ServerReflectionInfo(soon());
  const seen = all(stream);
  stream.write({ list_services: '' });
  stream.end();
  const names = (await seen)[0].list_services_response.service.map((s) => s.name);
  assert.ok(names.includes('retrovue.test.Echo'), names);
  on.close();
  asking.close();
}

(async () => {
  await unary();
  await many();
  await streams();
  await services();
  client.close();
  zipping.close();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
