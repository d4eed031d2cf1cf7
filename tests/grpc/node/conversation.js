// conversation.js ADDRESS PLAN OTHER ASSET: @grpc/grpc-js and rv-ctl serve: a
// channel is started, updated, switched and stopped.  Status 0 when all is well.
// Found by NODE_PATH: @grpc/grpc-js and @grpc/proto-loader.
'use strict';
const assert = require('assert');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, plan, other, asset] = process.argv.slice(2);
const proto = path.join(__dirname, '..', '..', '..', 'proto');
const load = (file) =>
  grpc.loadPackageDefinition(loader.loadSync(file, {
    keepCase: true, longs: Number, defaults: true, includeDirs: [proto, '/usr/include'],
  })).retrovue.playout;
const insecure = grpc.credentials.createInsecure();
const control = new (load('retrovue/playout.proto').PlayoutControl)(address, insecure);
const status = new (load('retrovue/playout_status.proto').PlayoutStatus)(address, insecure);

const call = (on, name, request) => new Promise((resolve, reject) =>
  on[name](request, { deadline: Date.now() + 20000 },
    (error, answer) => (error ? reject(error) : resolve(answer))));
const fails = (code, promise) => assert.rejects(promise, (error) => {
  assert.strictEqual(error.code, code, error.message);
  assert.ok(error.details.length > 10, error.details);
  return true;
});
const until = async (condition, what) => {
  const end = Date.now() + 20000;
  while (!await condition()) {
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
const seen = async () => (await call(status, 'ListChannels', {})).channels
  .find((one) => one.channel === 1);

const main = async () => {
  assert.strictEqual((await call(control, 'GetVersion', {})).version, '1.0.0');
  await fails(grpc.status.NOT_FOUND, call(control, 'StopChannel', { channel_id: 1 }));
  await fails(grpc.status.INVALID_ARGUMENT,
    call(control, 'StartChannel', { channel_id: 1, plan_handle: '/none' }));
  const started = await call(control, 'StartChannel', { channel_id: 1, plan_handle: plan });
  assert.ok(started.success);
  await until(async () => (await seen()).state === 2, 'ready');
  assert.ok((await call(control, 'UpdatePlan', { channel_id: 1, plan_handle: other })).success);
  const loaded = await call(control, 'LoadPreview', { channel_id: 1, asset_path: asset });
  assert.ok(loaded.success && loaded.shadow_decode_started);
  let cut;
  await until(async () => {
    cut = await call(control, 'SwitchToLive', { channel_id: 1 });
    return cut.result_code === 1;
  }, 'switched');
  assert.ok(cut.success && cut.pts_contiguous, JSON.stringify(cut));
  assert.ok(cut.live_start_pts >= 90000);
  assert.ok(Math.abs(cut.switch_completion_time_ms - Date.now()) < 10000);
  assert.ok((await call(control, 'StopChannel', { channel_id: 1 })).success);
  await fails(grpc.status.FAILED_PRECONDITION,
    call(control, 'SwitchToLive', { channel_id: 1 }));
  control.close();
  status.close();
};

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
