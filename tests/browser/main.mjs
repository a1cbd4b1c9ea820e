// Pages with MQTT.js, in a real browser, as clients of the gate. What is asserted is what JavaScript saw in the page.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

import { servePage } from './pages.mjs';
import { PATIENCE } from './program.mjs';
import { password, startWorld } from './world.mjs';

const VERSIONS = { 'MQTT 3.1.1': 4, 'MQTT 5': 5 };
const NOT_AUTHORIZED = 0x87;
const BAD_CREDENTIALS = { 4: 0x04, 5: 0x86 };

/** What a page is told of a WebSocket that did not come up (RFC 6455, 7.1.5): not why, by design. */
const ABNORMAL = 1006;

let home, stranger, world, browser;

before(async () => {
  try {
    home = await servePage();
    stranger = await servePage();
    world = await startWorld({ programs: process.env.TIDEGATE_TEST_BIN_DIR, origin: home.origin });
    browser = await open([`--ignore-certificate-errors-spki-list=${world.pin}`]);
  } catch (error) {
    // What is left would keep this process alive, and no test could say more.
    console.error(error);
    process.exit(1);
  }
});

after(async () => {
  await browser.close();
  world.stop();
  home.close();
  stranger.close();
});

for (const [name, version] of Object.entries(VERSIONS)) {
  story(`${name}: a page publishes and receives below its user's prefix, and nowhere else`, async (say) => {
    const bob = await enter('bob', version);
    const alice = await enter('alice', version);
    assert.equal((await subscribe(bob, 'bob/#')).code, 1);
    assert.equal((await subscribe(alice, 'alice/#')).code, 1);

    const published = await publish(alice, 'alice/first', 'hello');
    say('own PUBLISH', published);
    assert.equal(published.acknowledged, true);
    assert.equal(published.says, null);
    const [first] = await messages(alice, 'alice/first');
    say('own message', first);
    assert.deepEqual([first.topic, first.text, first.qos], ['alice/first', 'hello', 1]);

    const subscribed = await subscribe(alice, 'bob/#');
    say('SUBSCRIBE to bob/#', subscribed);
    assert.equal(subscribed.code, version === 5 ? NOT_AUTHORIZED : 0x80);
    const stolen = await publish(alice, 'bob/stolen', 'from alice');
    say('PUBLISH to bob/stolen', stolen);
    assert.equal(stolen.acknowledged, true);
    // MQTT 3 has no word for it: acknowledged and dropped.
    assert.equal(stolen.code, version === 5 ? NOT_AUTHORIZED : null);

    // What comes later has come, and nothing else with it.
    await publish(bob, 'bob/last', 'from bob');
    assert.deepEqual(await topics(bob, 'bob/last'), ['bob/last']);
    await publish(alice, 'alice/last', 'still here');
    assert.deepEqual(await topics(alice, 'alice/last'), ['alice/first', 'alice/last']);
    await leave(alice);
    await leave(bob);
  });

  story(`${name}: a page with a wrong password is told so`, async (say) => {
    const page = await visit(home);
    const refused = await connect(page, 'alice', version, { password: 'wrong' });
    say('CONNECT', refused);
    assert.equal(refused.connected, false);
    assert.equal(refused.code, BAD_CREDENTIALS[version]);
  });

  story(`${name}: large messages pass, which the browser cuts into frames as it likes`, async (say) => {
    const size = 700_000;
    const page = await enter('alice', version);
    await subscribe(page, 'alice/large');
    assert.equal((await publish(page, 'alice/large', 'x'.repeat(size))).says, null);
    const [{ text }] = await messages(page, 'alice/large');
    say('received', { characters: text.length });
    assert.ok(text === 'x'.repeat(size), 'it is the same text');
    await leave(page);
  });

  story(`${name}: a page of another origin cannot connect`, async (say) => {
    const page = await visit(stranger);
    const refused = await connect(page, 'alice', version);
    say('CONNECT', refused);
    assert.equal(refused.connected, false);
    // The same from a page that may, at the same time.
    await leave(await enter('alice', version));
  });
}

story('a WebSocket comes up with the subprotocol mqtt and without compression, for the one origin only', async (say) => {
  const mine = await visit(home);
  const opened = await knock(mine, ['mqtt']);
  say('from the origin on the list', opened);
  assert.deepEqual(opened, { open: true, protocol: 'mqtt', extensions: '' });
  const theirs = await knock(await visit(stranger), ['mqtt']);
  say('from another', theirs);
  assert.deepEqual(theirs, { open: false, code: ABNORMAL });
  assert.deepEqual(await knock(mine, ['chat']), { open: false, code: ABNORMAL });
});

story('a page that is closed leaves its will', async (say) => {
  const witness = await enter('alice', 5);
  await subscribe(witness, 'alice/will');
  const page = await enter('alice', 5, { will: { topic: 'alice/will', payload: 'gone', qos: 1 } });
  await page.close();
  const [will] = await messages(witness, 'alice/will');
  say('will', will);
  assert.equal(will.text, 'gone');
  await leave(witness);
});

story('a browser that does not know the certificate does not connect', async (say) => {
  const careful = await open([]);
  try {
    const page = await visit(home, careful);
    const seen = await knock(page, ['mqtt']);
    say('WebSocket', seen);
    assert.deepEqual(seen, { open: false, code: ABNORMAL });
  } finally {
    await careful.close();
  }
});

/** A test that shows what its pages saw, and what the programs said if it fails. */
function story(name, tell) {
  test(name, { timeout: 3 * PATIENCE }, async (context) => {
    try {
      await tell((what, seen) => context.diagnostic(`${what}: ${JSON.stringify(seen)}`));
    } catch (error) {
      context.diagnostic(world.log());
      throw error;
    }
  });
}

/** The browser, with nothing of its own to say to the network. */
function open(args) {
  return chromium.launch({
    executablePath: process.env.TIDEGATE_TEST_CHROMIUM,
    chromiumSandbox: false,
    timeout: PATIENCE,
    args: [
      '--headless', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...args,
    ],
  });
}

/** A page of its own, with nothing shared but the browser. */
async function visit(site, within = browser) {
  const context = await within.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on('pageerror', (error) => console.error(`error in the page: ${error.stack}`));
  await page.goto(site.origin);
  return page;
}

/** A page that is connected as a user. */
async function enter(user, version, more) {
  const page = await visit(home);
  assert.deepEqual(await connect(page, user, version, more), { connected: true, sessionPresent: false, code: 0 });
  return page;
}

function connect(page, user, protocolVersion, more = {}) {
  const options = { username: user, password: password(user), protocolVersion, ...more };
  return page.evaluate(([url, options]) => visitor.connect(url, options), [world.url, options]);
}

const subscribe = (page, filter) => page.evaluate((filter) => visitor.subscribe(filter), filter);
const publish = (page, ...message) => page.evaluate((message) => visitor.publish(...message), message);
const messages = (page, topic) => page.evaluate((topic) => visitor.messages(topic), topic);
const topics = async (page, topic) => (await messages(page, topic)).map((message) => message.topic);
const knock = (page, protocols) => page.evaluate((args) => globalThis.knock(...args), [world.url, protocols]);

async function leave(page) {
  assert.equal(await page.evaluate(() => visitor.isConnected()), true);
  await page.evaluate(() => visitor.leave());
}
