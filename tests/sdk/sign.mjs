// Signs random requests with providers' npm packages, and asks the same packages to check requests that
// somebody else signed. See README.md for the two modes and the shape of a line.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import querystring from 'node:querystring';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import * as octokit from '@octokit/webhooks-methods';

const require = createRequire(import.meta.url);
const modules = join(dirname(fileURLToPath(import.meta.url)), 'node_modules');
// By file name where the function that signs or verifies is not among a package's exports.
const inside = (...path) => require(join(modules, ...path));

const crypto = require('crypto');
const stripe = require('stripe');
const svix = require('svix');
const standard = require('standardwebhooks');
const line = require('@line/bot-sdk');
const slack = require('@slack/bolt');
const twilio = inside('twilio', 'lib', 'webhooks', 'webhooks.js');
const razorpay = inside('razorpay', 'dist', 'utils', 'razorpay-utils.js');
const sanity = require('@sanity/webhook');
const { Paddle } = require('@paddle/paddle-node-sdk');
const paddleRuntime = inside('@paddle', 'paddle-node-sdk', 'dist', 'cjs', 'internal', 'providers', 'runtime-provider.js');
const { WorkOS } = require('@workos-inc/node');
const Mux = require('@mux/mux-node');
const box = require('box-node-sdk');
const discord = require('discord-interactions');
const gocardless = inside('gocardless-nodejs', 'cjs', 'webhooks.js');
const Pusher = require('pusher');
require('@shopify/shopify-api/adapters/node');
const shopify = require('@shopify/shopify-api');
const shopifyRuntime = require('@shopify/shopify-api/runtime');

// ---- the clock: several of them compare with the present time and take no other ----

let clock = 0;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length ? args : [clock]));
  }
  static now() {
    return clock;
  }
};
const setClock = (seconds) => {
  clock = seconds * 1000;
};

// ---- random values, the same for the same seed on every machine ----

class Random {
  constructor(seed) {
    this.seed = seed;
    this.counter = 0;
    this.pool = Buffer.alloc(0);
  }
  bytes(n) {
    while (this.pool.length < n) {
      const block = createHash('sha256').update(`${this.seed}|${this.counter++}`).digest();
      this.pool = Buffer.concat([this.pool, block]);
    }
    const taken = this.pool.subarray(0, n);
    this.pool = this.pool.subarray(n);
    return Buffer.from(taken);
  }
  below(n) {
    return this.bytes(4).readUInt32BE() % n;
  }
  between(low, high) {
    return low + this.below(high - low + 1);
  }
  of(choices) {
    return choices[this.below(choices.length)];
  }
  letters(n, alphabet) {
    return Array.from({ length: n }, () => alphabet[this.below(alphabet.length)]).join('');
  }
}

const HEX = '0123456789abcdef';
const ALNUM = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const PRINTABLE = ALNUM + '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';

const whsec = (r) => 'whsec_' + r.bytes(r.between(24, 64)).toString('base64');
const hex32 = (r) => r.letters(32, HEX);
const free = (r) => r.letters(r.between(16, 64), PRINTABLE);

const PIECES = ['a', 'Z', '7', ' ', '"', '\\', '/', '\n', '\r\n', '\t', '\u0000', '\u001f', '\u007f', 'é', 'ß', 'Ω', '中',
  '\u2028', '\ufeff', '\ufffd', '😀', '👩‍💻', 'مرحبا', '&', '=', '+', '%41', '<', '.', ':', ',', ';', '{', '}'];
const text = (r, most) => Array.from({ length: r.below(most) }, () => r.of(PIECES)).join('');

function value(r, depth) {
  switch (r.below(depth > 0 ? 8 : 6)) {
    case 0: return null;
    case 1: return r.below(2) === 1;
    case 2: return r.between(-1000000, 1000000);
    case 3: return r.below(1000000) / 1024;
    case 4: case 5: return text(r, 12);
    case 6: return Array.from({ length: r.below(4) }, () => value(r, depth - 1));
    default: return object(r, depth - 1);
  }
}
function object(r, depth) {
  return Object.fromEntries(Array.from({ length: r.between(1, 5) }, () => ['k' + text(r, 3), value(r, depth)]));
}

const escaped = (json) => json.replace(/[\u007f-\uffff]/g, (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));

// `fit` says which bodies the package can be handed at all: `empty`, `bytes` (not UTF-8), `json` (nothing but
// JSON), `canonical` (nothing but what JSON.stringify writes).
function body(r, kind, fit) {
  const sized = { 2: 1, 3: 63, 4: 64, 5: 65 }[kind];
  if (kind === 1 && fit.empty) return Buffer.alloc(0);
  if (sized) {
    if (fit.json) return Buffer.from(sized === 1 ? String(r.below(10)) : JSON.stringify(r.letters(sized - 2, ALNUM)));
    return fit.bytes && r.below(2) ? r.bytes(sized) : Buffer.from(r.letters(sized, PRINTABLE));
  }
  if (kind === 7 && !fit.json) return Buffer.from('x' + text(r, 200));
  if (kind === 8 && fit.bytes) return r.bytes(r.between(1, 2000));
  if (kind === 6) {
    const items = [];
    while (JSON.stringify(items).length < 2000 + 500 * (items.length % 8)) items.push(object(r, 3));
    return Buffer.from(JSON.stringify(items));
  }
  const made = { id: 'evt_' + r.letters(20, ALNUM), ...object(r, 3) };
  if (fit.canonical || kind === 0) return Buffer.from(JSON.stringify(made));
  return Buffer.from(r.of([
    () => JSON.stringify(made, null, 2),
    () => JSON.stringify(made, null, '\t').replaceAll('\n', '\r\n'),
    () => escaped(JSON.stringify(made)),
    () => JSON.stringify(made).replaceAll('/', '\\/'),
    () => ' ' + JSON.stringify(made) + '\n',
  ])());
}
const KINDS = 9;

const webhookUrl = (r) => `https://hooks.example.com/${r.letters(8, ALNUM)}/in` + r.of(['', '?a=1&b=x%20y', '?tenant=' + hex32(r)]);

// ---- what a verifier computes ----

// Packages that only verify compute the right signature too, to compare with. This runs the verifier with a wrong
// one and returns the result of its HMAC: what it is computed over, and with which key, is the package's own code.
function hmacOf(verify) {
  const original = crypto.createHmac;
  let seen;
  crypto.createHmac = (...args) => {
    const hmac = original(...args);
    const digest = hmac.digest.bind(hmac);
    hmac.digest = (...encoding) => (seen = digest(...encoding));
    return hmac;
  };
  try {
    verify();
  } catch {
    // Refused, as it must be.
  } finally {
    crypto.createHmac = original;
  }
  if (seen === undefined) throw new Error('the verifier computed no HMAC');
  return seen;
}

// The same for a method of the package's own that computes it.
async function resultOf(object, method, verify) {
  const original = object[method];
  let seen;
  object[method] = async (...args) => (seen = await original.apply(object, args));
  try {
    await verify();
  } catch {
    // Refused, as it must be.
  } finally {
    object[method] = original;
  }
  if (seen === undefined) throw new Error(`the verifier did not call ${method}`);
  return seen;
}

// Not every package answers with a boolean.
async function holds(verify) {
  try {
    return (await verify()) !== false;
  } catch {
    return false;
  }
}

const mux = new Mux({ tokenId: 'x', tokenSecret: 'x' }).webhooks;
const workos = new WorkOS('sk_test_x', { clientId: 'x' }).webhooks;
const paddle = new Paddle('x').webhooks;
const shopifyApi = (secret) => shopify.shopifyApi({
  apiKey: 'x', apiSecretKey: secret, scopes: ['read_products'], hostName: 'hooks.example.com',
  apiVersion: shopify.LATEST_API_VERSION, isEmbeddedApp: false, logger: { level: -1, log: () => {} },
});

// They parse the body once its signature holds. A body that is no JSON is then thrown out with a SyntaxError,
// which says nothing against the signature.
function standardHolds(webhook, body, headers) {
  try {
    webhook.verify(body, headers);
    return true;
  } catch (error) {
    return error instanceof SyntaxError;
  }
}

function standardLike(pkg, preset, prefix, Webhook) {
  return {
    pkg, preset, fit: { empty: true }, secret: whsec,
    sign: ({ r, secret, body, seconds }) => {
      const id = 'msg_' + r.letters(27, ALNUM);
      return { headers: [[`${prefix}-id`, id], [`${prefix}-timestamp`, String(seconds)],
        [`${prefix}-signature`, new Webhook(secret).sign(id, new Date(seconds * 1000), body)]] };
    },
    unfit: ({ secret }) => secret.startsWith('whpk_') && 'ed25519 is not implemented',
    check: ({ secret, body, headers }) => standardHolds(new Webhook(secret), body, headers),
  };
}

// ---- the packages ----
// `body` is a string, or a Buffer for those whose fit says `bytes`.

const SDKS = [
  {
    pkg: 'stripe', preset: 'stripe', fit: {}, secret: (r) => 'whsec_' + r.letters(32, ALNUM),
    sign: ({ secret, body, seconds }) => ({ headers: [['stripe-signature',
      stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: seconds })]] }),
    check: ({ secret, body, headers }) =>
      holds(() => stripe.webhooks.signature.verifyHeader(body, headers['stripe-signature'], secret, 300)),
  },
  standardLike('svix', 'svix', 'svix', svix.Webhook),
  standardLike('standardwebhooks', 'standard-webhooks', 'webhook', standard.Webhook),
  {
    pkg: '@octokit/webhooks-methods', preset: 'github', fit: {}, secret: free,
    sign: async ({ r, secret, body }) => ({ headers: [['x-github-event', 'push'],
      ['x-github-delivery', hex32(r).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')],
      ['x-hub-signature-256', await octokit.sign(secret, body)]] }),
    check: ({ secret, body, headers }) => holds(() => octokit.verify(secret, body, headers['x-hub-signature-256'])),
  },
  {
    pkg: '@slack/bolt', preset: 'slack', fit: { empty: true }, secret: hex32,
    check: ({ secret, body, headers }) => slack.isValidSlackRequest({ signingSecret: secret, body, headers: {
      'x-slack-signature': headers['x-slack-signature'],
      'x-slack-request-timestamp': Number(headers['x-slack-request-timestamp']),
    } }),
  },
  {
    pkg: '@line/bot-sdk', preset: 'line', fit: { empty: true, bytes: true }, secret: hex32,
    sign: ({ secret, body }) => ({ headers: [['x-line-signature',
      hmacOf(() => line.validateSignature(body, secret, '')).toString('base64')]] }),
    check: ({ secret, body, headers }) => holds(() => line.validateSignature(body, secret, headers['x-line-signature'])),
  },
  {
    pkg: 'twilio', preset: 'twilio', fit: { empty: true, bytes: true }, secret: hex32,
    // Twilio signs the address and the form's fields; of any other body, its digest in the address.
    make: (r, kind) => {
      if (r.below(2)) return body(r, kind, { empty: true, bytes: true });
      const fields = Array.from({ length: r.below(8) }, () => [r.letters(r.between(1, 6), ALNUM), text(r, 10)]);
      if (fields.length && r.below(3) === 0) fields.push([fields[0][0], text(r, 5)]);
      return { form: Buffer.from(new URLSearchParams(fields).toString()) };
    },
    sign: ({ r, secret, body, form }) => {
      let url = webhookUrl(r);
      if (!form) url += (url.includes('?') ? '&' : '?') + 'bodySHA256=' + twilio.getExpectedBodyHash(body);
      const signature = twilio.getExpectedTwilioSignature(secret, url, form ? querystring.parse(body.toString()) : {});
      return { url, headers: [['content-type', form ? 'application/x-www-form-urlencoded' : 'application/json'],
        ['x-twilio-signature', signature]] };
    },
    unfit: ({ url }) => !url && 'needs the url',
    check: ({ secret, body, headers, url }) => holds(() => (url.includes('bodySHA256=')
      ? twilio.validateRequestWithBody(secret, headers['x-twilio-signature'], url, body)
      : twilio.validateRequest(secret, headers['x-twilio-signature'], url, querystring.parse(body.toString())))),
  },
  {
    pkg: 'razorpay', preset: 'razorpay', fit: { empty: true }, secret: free,
    sign: ({ secret, body }) => ({ headers: [['x-razorpay-signature',
      hmacOf(() => razorpay.validateWebhookSignature(body, '', secret))]] }),
    check: ({ secret, body, headers }) =>
      holds(() => razorpay.validateWebhookSignature(body, headers['x-razorpay-signature'], secret)),
  },
  {
    pkg: '@mux/mux-node', preset: 'mux', fit: { empty: true }, secret: (r) => r.letters(32, ALNUM),
    sign: async ({ secret, body, seconds }) => ({ headers: [['mux-signature', `t=${seconds},v1=` +
      await resultOf(mux, 'computeSignature', () => mux.verifySignature(body, { 'mux-signature': `t=${seconds},v1=0` }, secret))]] }),
    check: ({ secret, body, headers }) => holds(() => mux.verifySignature(body, headers, secret)),
  },
  {
    // Five seconds of tolerance, no more.
    pkg: '@paddle/paddle-node-sdk', preset: 'paddle', fit: { empty: true }, age: 4,
    secret: (r) => `pdl_ntfset_${r.letters(26, ALNUM)}_${r.letters(32, ALNUM)}`,
    sign: async ({ secret, body, seconds }) => ({ headers: [['paddle-signature', `ts=${seconds};h1=` +
      await resultOf(paddleRuntime.RuntimeProvider.getProvider().crypto, 'computeHmac',
        () => paddle.isSignatureValid(body, secret, `ts=${seconds};h1=0`))]] }),
    check: ({ secret, body, headers }) => holds(() => paddle.isSignatureValid(body, secret, headers['paddle-signature'])),
  },
  {
    // It takes the parsed body and signs what JSON.stringify writes of it.
    pkg: '@workos-inc/node', preset: 'workos', fit: { json: true, canonical: true }, secret: (r) => r.letters(25, ALNUM),
    sign: async ({ secret, body, millis }) => ({ headers: [['workos-signature',
      `t=${millis}, v1=` + await workos.computeSignature(millis, JSON.parse(body), secret)]] }),
    check: ({ secret, body, headers }) => holds(() => workos.verifyHeader({
      payload: JSON.parse(body), sigHeader: headers['workos-signature'], secret })),
  },
  {
    pkg: '@sanity/webhook', preset: 'sanity', fit: {}, secret: free,
    sign: async ({ secret, body, millis }) => ({ headers: [['sanity-webhook-signature',
      await sanity.encodeSignatureHeader(body, millis, secret)]] }),
    check: ({ secret, body, headers }) => sanity.isValidSignature(body, headers['sanity-webhook-signature'], secret),
  },
  {
    pkg: '@shopify/shopify-api', preset: 'shopify', fit: {}, secret: (r) => 'shpss_' + hex32(r),
    sign: async ({ r, secret, body }) => ({ headers: [['x-shopify-topic', 'orders/create'],
      ['x-shopify-shop-domain', 'example.myshopify.com'], ['x-shopify-api-version', '2023-07'],
      ['x-shopify-webhook-id', hex32(r)],
      ['x-shopify-hmac-sha256', await shopifyRuntime.createSHA256HMAC(secret, body, shopifyRuntime.HashFormat.Base64)]] }),
    // Its verifier wants these headers, which are not signed, to be there.
    check: async ({ secret, body, headers }) => (await shopifyApi(secret).webhooks.validate({ rawBody: body, rawRequest: {
      method: 'POST', url: '/', headers: { 'x-shopify-topic': 'orders/create', 'x-shopify-shop-domain': 'example.myshopify.com',
        'x-shopify-api-version': '2023-07', 'x-shopify-webhook-id': 'x', ...headers } } })).valid,
  },
  {
    pkg: 'box-node-sdk', preset: 'box', fit: { empty: true }, secret: (r) => r.letters(32, ALNUM),
    sign: ({ r, secret, body, seconds }) => {
      const headers = [['box-delivery-id', hex32(r)], ['box-signature-version', '1'], ['box-signature-algorithm', 'HmacSHA256'],
        ['box-delivery-timestamp', new Date(seconds * 1000).toISOString().replace('.000Z', r.of(['Z', '-00:00', '+00:00']))]];
      const signature = hmacOf(() => box.validateWebhookMessage(body, Object.fromEntries(headers), secret));
      return { headers: [...headers, ['box-signature-primary', signature]] };
    },
    check: ({ secret, body, headers }) => holds(() => box.validateWebhookMessage(body, headers, secret)),
  },
  {
    // The secret of such a line is the public key.
    pkg: 'discord-interactions', preset: 'discord', fit: { empty: true, bytes: true },
    check: ({ secret, body, headers }) =>
      discord.verifyKey(body, headers['x-signature-ed25519'], headers['x-signature-timestamp'], secret),
  },
  {
    pkg: 'gocardless-nodejs', preset: 'gocardless', fit: { empty: true, bytes: true }, secret: (r) => r.letters(40, ALNUM),
    sign: ({ secret, body }) => ({ headers: [['webhook-signature',
      hmacOf(() => gocardless.verifySignature(body, secret, '')).toString('hex')]] }),
    check: ({ secret, body, headers }) => holds(() => gocardless.verifySignature(body, secret, headers['webhook-signature'])),
  },
  {
    pkg: 'pusher', preset: 'pusher', fit: { json: true }, secret: (r) => r.letters(20, HEX),
    sign: ({ r, secret, body }) => {
      const key = r.letters(20, HEX);
      return { headers: [['x-pusher-key', key], ['x-pusher-signature', new Pusher.Token(key, secret).sign(body)]] };
    },
    check: ({ secret, body, headers }) => new Pusher({ appId: '1', key: headers['x-pusher-key'], secret, cluster: 'x' })
      .webhook({ rawBody: body, headers: { 'content-type': 'application/json', ...headers } }).isValid(),
  },
];

const nameOf = ({ pkg }) => `${pkg} (npm ${JSON.parse(readFileSync(join(modules, pkg, 'package.json'))).version})`;

// What `body` has to be for this package, and why it cannot be that.
function given(sdk, bytes) {
  if (bytes.length === 0 && !sdk.fit.empty) return { unfit: 'empty body' };
  let string;
  try {
    string = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return sdk.fit.bytes ? { body: bytes } : { unfit: 'not UTF-8' };
  }
  if (sdk.fit.json) {
    try {
      const parsed = JSON.parse(string);
      if (sdk.fit.canonical && JSON.stringify(parsed) !== string) return { unfit: 'not as JSON.stringify writes it' };
    } catch {
      return { unfit: 'not JSON' };
    }
  }
  return { body: sdk.fit.bytes ? bytes : string };
}

async function signAll(count, seed) {
  for (const sdk of SDKS.filter((sdk) => sdk.sign)) {
    const name = nameOf(sdk);
    // Seeded by package, so that adding one leaves the others' requests as they were.
    const r = new Random(`${seed}|${sdk.pkg}`);
    for (let i = 0; i < count; i++) {
      const made = sdk.make ? sdk.make(r, i % KINDS) : body(r, i % KINDS, sdk.fit);
      const bytes = made.form ?? made;
      const now = 1700000000 + r.below(50000000);
      const seconds = now - r.between(0, sdk.age ?? 120);
      const secret = sdk.secret(r);
      setClock(now);
      const signed = await sdk.sign({ r, secret, seconds, millis: seconds * 1000 + r.below(now > seconds ? 1000 : 1),
        form: Boolean(made.form), ...given(sdk, bytes) });
      const headers = signed.headers.some(([header]) => header === 'content-type')
        ? signed.headers : [['content-type', 'application/json'], ...signed.headers];
      console.log(JSON.stringify({ sdk: name, preset: sdk.preset, secret, headers,
        body_b64: bytes.toString('base64'), now, url: signed.url ?? null }));
    }
  }
}

async function checkAll() {
  for await (const read of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (!read.trim()) continue;
    const line = JSON.parse(read);
    const sdk = SDKS.find((sdk) => sdk.preset === line.preset);
    const answer = { id: line.id, accepted: false };
    if (sdk) {
      const request = { secret: line.secret, url: line.url, headers: {}, ...given(sdk, Buffer.from(line.body_b64, 'base64')) };
      for (const [header, content] of line.headers) {
        const key = header.toLowerCase();
        request.headers[key] = key in request.headers ? `${request.headers[key]}, ${content}` : content;
      }
      answer.sdk = nameOf(sdk);
      const unfit = request.unfit || sdk.unfit?.(request);
      if (unfit) answer.unfit = unfit;
      else {
        setClock(line.now);
        answer.accepted = Boolean(await sdk.check(request));
      }
    } else answer.unfit = `no npm package for ${line.preset}`;
    console.log(JSON.stringify(answer));
  }
}

const [first, seed] = process.argv.slice(2);
if (first === 'check') await checkAll();
else if (/^\d+$/.test(first ?? '') && seed !== undefined) await signAll(Number(first), seed);
else {
  console.error('usage: node sign.mjs <count> <seed> | node sign.mjs check < lines');
  process.exit(2);
}
