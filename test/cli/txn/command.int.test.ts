// kv txn and kv compact, and what get, ls and del have for ranges and history: on a real node, with wrong arguments,
// without a node, and on a terminal.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Client, Txn } from '../../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../../src/embed/index.ts'
import { problem, RelayedNode } from '../../client/relayed-node.ts'
import { KV, kv as run } from '../run-kv.ts'

let cluster: EmbeddedCluster
let client: Client
let scratch: string
let url: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  client = cluster.client()
  url = cluster.endpoints[0] ?? ''
  scratch = mkdtempSync(join(tmpdir(), 'quorate-cli-txn-'))
})

afterAll(async () => {
  await cluster.close()
  rmSync(scratch, { recursive: true, force: true })
})

const kv = (args: string | readonly string[], more: Parameters<typeof run>[1] = {}) =>
  run(typeof args === 'string' ? args.split(' ') : args, { endpoints: url, cwd: scratch, ...more })

function file(name: string, text: string | Buffer): string {
  writeFileSync(join(scratch, name), text)
  return name
}

const json = (txn: Txn | object): string => JSON.stringify(txn)
const put = (key: string, value: string): string => json({ success: [{ put: { key, value } }] })
const get = (key: string): string => json({ success: [{ get: { key } }] })

test('a transaction comes from a file or from standard input', async () => {
  const create = json({
    compare: [{ key: 'new', exists: false }],
    success: [{ put: { key: 'new', value: 'first' } }, { get: { prefix: 'n', keys_only: true } }],
    failure: [{ get: { key: 'new' } }],
  })
  const ended = await kv(`txn ${file('new.json', create)}`)
  const record = await client.get('new')
  const revision = record?.modRevision
  expect(record?.text()).toBe('first')
  const metadata = { create_revision: revision, mod_revision: revision, version: 1 }
  expect(ended).toMatchObject({ code: 0, err: '' })
  expect(JSON.parse(ended.out)).toEqual({
    succeeded: true,
    revision,
    results: [{ put: metadata }, { get: { kvs: [{ key: 'new', ...metadata }], more: false } }],
  })
  for (const args of ['txn', 'txn -', 'txn -o table', 'txn -o ndjson']) {
    const again = await kv(args, { stdin: `\ufeff\r\n ${create}\n` })
    expect(again).toMatchObject({ code: 0, err: '' })
    expect(again.out.trimEnd().includes('\n')).toBe(!args.endsWith('ndjson'))
    expect(JSON.parse(again.out)).toEqual({
      succeeded: false,
      revision,
      results: [{ get: { kvs: [{ key: 'new', value: 'first', ...metadata }], more: false } }],
    })
  }
})

test('every operation and option is carried out', async () => {
  await client.put('all/a', '1')
  await client.put('all/b', '2')
  const stdin = json({
    compare: [
      { key: 'all/a', target: 'value', op: '=', to: { base64: 'MQ==' } },
      { prefix: 'all/', target: 'version', op: '<', to: 2 },
      { start: 'all/', end: 'all0', target: 'mod_revision', op: '>', to: 0 },
      { key: 'all/a', target: 'lease', op: '=', to: '0' },
      { key: 'all/b', exists: true },
    ],
    success: [
      { get: { start: 'all/b', limit: 1 } },
      { get: { end: 'all/b', count_only: true } },
      { get: { start: 'all/', end: 'all/b', keys_only: true } },
      {
        txn: {
          compare: [{ key: 'all/b', exists: false }],
          success: [{ put: { key: 'all/c', value: '1' } }],
          failure: [
            { put: { key: 'all/c', value: { base64: '/w==' }, ttl: '1.5h', prev: true } },
            { delete: { key: 'all/a', prev: true } },
          ],
        },
      },
      { delete: { prefix: 'all/b' } },
      { get: { prefix: 'all/' } },
    ],
  })
  const { out, code } = await kv('txn', { stdin })
  expect(code).toBe(0)
  const { results, revision } = JSON.parse(out)
  expect(results).toMatchObject([
    { get: { kvs: [{ key: 'all/b', value: '2' }] } },
    { get: { kvs: [], more: false, count: expect.any(Number) } },
    { get: { kvs: [{ key: 'all/a' }], more: false } },
    {
      txn: {
        succeeded: false,
        revision,
        results: [{ put: { version: 1, prev: null } }, { delete: { deleted: 1, prev: [{ value: '1' }] } }],
      },
    },
    { delete: { deleted: 1 } },
    { get: { kvs: [{ key: 'all/c', value: { base64: '/w==' }, lease: expect.any(String) }], more: false } },
  ])
  expect(results[2].get.kvs[0]).not.toHaveProperty('value')
  const lease = results[5].get.kvs[0].lease
  expect((await client.lease(lease))?.grantedTtlMs).toBe(5_400_000)
})

test('one that only reads is read as --consistency says', async () => {
  const ended = await kv('txn --consistency stale', { stdin: get('new') })
  expect(ended).toMatchObject({ code: 0, err: expect.stringMatching(/^stale read from n1/) })
  // The flag means nothing for others, as for put.
  expect(await kv('txn --consistency stale', { stdin: put('x', 'y') })).toMatchObject({ code: 0, err: '' })
})

test.each<[string, string, string | undefined, number, string]>([
  ['no JSON', 'txn', '{"success":[}', 2, 'line 1, column 13 of standard input: expected a value'],
  ['what is wrong in a file', 'txn wrong.json', undefined, 2, 'line 2, column 21 of wrong.json: success[0]'],
  ['an unknown field', 'txn', '{"sucess":[]}', 2, 'there is no field "sucess" (did you mean success?)'],
  ['bytes that are no text', 'txn bytes', undefined, 2, 'bytes is not UTF-8'],
  ['a file that is not there', 'txn none', undefined, 1, 'cannot read none: no such file'],
  ['JSON as the name of a file', 'txn {"success":[]}', undefined, 1, 'comes from standard input'],
  ['nothing', 'txn', '', 2, 'expected a value, found the end of the text'],
  ['two files', 'txn a b', undefined, 2, 'too many arguments'],
  [
    'a key that is changed twice',
    'txn',
    json({ success: [{ put: { key: 'a', value: '1' } }, { delete: { prefix: 'a' } }] }),
    1,
    'a key is changed twice',
  ],
  ['a key that is too long', 'txn', put('a'.repeat(5_000), '1'), 2, 'key of 5000 bytes, at most'],
  ['no revision', 'compact', undefined, 2, "missing required argument 'revision'"],
  ['a revision that is none', 'compact now', undefined, 2, 'it must be a whole number'],
  ['the revision 0', 'compact 0', undefined, 2, 'the first revision is 1'],
  ['a revision of the future', 'compact 99999', undefined, 1, 'not yet at 99999'],
  ['a read of the future', 'get new --revision 99999', undefined, 1, 'not yet at 99999\n'],
  [
    'a prefix under a condition',
    'del a --prefix --if-revision 7',
    undefined,
    2,
    '--if-revision is for one key',
  ],
  ['values of a number', 'ls --values --count', undefined, 2, '--count and --values contradict each other'],
])('%s is refused, and nothing is written', async (_, args, stdin, code, says) => {
  file('wrong.json', '{"success":\n [{"put":{"key":"a","value":5}}]}\n')
  file('bytes', Buffer.from([0xff]))
  const { revision } = await client.put('before', '')
  const ended = await kv(args, stdin === undefined ? {} : { stdin })
  expect([ended.code, ended.out]).toEqual([code, ''])
  expect(ended.err).toContain(says)
  expect(ended.err).not.toContain('min_revision')
  expect((await client.put('before', '')).revision).toBe(revision + 1)
})

test('keys are listed with their values, and as they were', async () => {
  await client.put('l/a', '1')
  const { revision } = await client.put('l/b', 'two\twords')
  await client.put('l/a', '3')
  expect((await kv('ls l/ --values')).out).toBe('l/a\t3\nl/b\t"two\\twords"\n')
  expect((await kv('get l/ --prefix')).out).toBe('l/a\t3\nl/b\t"two\\twords"\n')
  expect((await kv(`get l/ --prefix --revision ${revision} -o table`)).out).toMatch(
    /^KEY +VALUE +REVISION +VERSION\nl\/a +1 +\d+ +1\nl\/b +two\\x09words +\d+ +1\n$/,
  )
  const records = JSON.parse((await kv(`ls l/ --values --revision ${revision} -o json`)).out)
  expect(records).toMatchObject([{ key: 'l/a', value: '1', version: 1 }, { key: 'l/b' }])
  expect((await kv('get l/ --prefix -o ndjson')).out.trimEnd().split('\n')).toHaveLength(2)
  expect((await kv(`ls l/ --revision ${revision - 1}`)).out).toBe('l/a\n')
  expect((await kv(`ls l/ --count --revision ${revision - 1}`)).out).toBe('1\n')
  expect((await kv(`get l/a --revision ${revision}`)).out).toBe('1')
  expect(await kv(`get l/b --revision ${revision - 1}`)).toMatchObject({
    code: 3,
    err: `error: there is no key l/b at revision ${revision - 1}\n`,
  })
  expect(await kv('get none/ --prefix')).toMatchObject({ code: 0, out: '' })
  // The end of history.
  expect(await kv(`compact ${revision}`)).toMatchObject({ code: 0, out: `${revision}\n` })
  expect((await kv(`compact ${revision - 1} -o table`)).err).toContain('is compacted')
  expect(await kv(`get l/a --revision ${revision - 1}`)).toMatchObject({
    code: 1,
    err: `error: revision ${revision - 1} is compacted: the store can be read from revision ${revision} on\n`,
  })
})

test.each([
  ['compact', 'compact', ''],
  ['a transaction that names no key', 'txn -', json({ success: [{ delete: { prefix: 'unprinted/' } }] })],
])('%s whose result cannot be printed has been made, and ends with 6', async (_, args, input) => {
  for (let n = 1; n <= 3; n++) await client.put(`unprinted/${n}`, '')
  const words = input === '' ? `${args} ${client.revision}` : args
  const { code, err } = await kv(words, { stdin: input, reader: 'full-disk' })
  expect(code).toBe(6)
  expect(err).toContain('no space left on device; the change may have been made\n')
  expect(await client.count({ prefix: 'unprinted/' })).toBe(input === '' ? 3 : 0)
})

test('keys with a prefix are deleted with --yes; without a terminal they are not deleted without it', async () => {
  for (const key of ['d/1', 'd/2', 'd3']) await client.put(key, '')
  const { revision } = client
  const refused = await kv('del d/ --prefix')
  expect(refused).toMatchObject({ code: 2, out: '' })
  expect(refused.err).toBe('error: this deletes 2 keys that begin with d/; to do that, add --yes\n')
  expect(await kv('del none/ --prefix')).toMatchObject({ code: 0, out: '0\n' })
  expect((await client.put('d4', '')).revision).toBe(revision + 1)
  expect(await kv('del d/ --prefix --yes -o table')).toMatchObject({
    code: 0,
    out: `2 keys deleted, revision ${revision + 2}\n`,
  })
  expect(await kv('del d/ --prefix --yes')).toMatchObject({ code: 0, out: '0\n' })
  expect((await kv(['del', '', '--prefix'])).err).toMatch(
    /^error: this deletes all keys of the store \(\d+\);/,
  )
  expect(await kv('del d3 --prefix --yes -o json')).toMatchObject({
    out: expect.stringContaining('"deleted": 1'),
  })
  for (const key of ['d1', 'd2', 'd3', 'd4', 'd5']) await client.put(key, '')
  await client.changeSettings({ range_keys_max: 1 })
  const large = await kv(['del', '--prefix', '', '--yes', '--atomic'])
  expect(large).toMatchObject({ code: 1, out: '' })
  expect(large.err).toMatch(/more than 1 keys.*nothing was written; use a smaller range/s)
  // A range is deleted in parts as small as the cluster permits.
  await client.put('d4', '')
  const parts = await kv('del --prefix d --yes -o table')
  expect(parts.out).toBe(`5 keys deleted, in 5 parts, the last at revision ${client.revision + 5}\n`)
  await client.changeSettings({ range_keys_max: 10_000 })
  await kv(['del', '', '--prefix', '--yes'])
  expect(await client.count()).toBe(0)
})

test('more keys than one request may delete are deleted in parts, with --atomic they are not', async () => {
  const { revision } = await client.put('p/', '')
  for (let from = 0; from < 10_050; from += 50)
    await client.txn({
      success: Array.from({ length: 50 }, (_, at) => ({ put: { key: `p/${from + at}`, value: '' } })),
    })
  expect(await kv('del --prefix p/ --yes --atomic')).toMatchObject({ code: 1, out: '' })
  expect(await client.count({ prefix: 'p/' })).toBe(10_051)
  expect(await kv('del --prefix p/ --yes')).toMatchObject({ code: 0, out: '10051\n', err: '' })
  expect(await client.count({ prefix: 'p/' })).toBe(0)
  expect((await client.put('p/', '')).revision).toBe(revision + 201 + 11 + 1)
})

test('several keys, and the keys between two', async () => {
  const put = async () => {
    for (const key of ['r1', 'r2', 'r3', 'r4']) await client.put(key, '')
  }
  await put()
  expect((await kv('ls --start r2 --end r4')).out).toBe('r2\nr3\n')
  expect((await kv('ls --start r3 --end s --count')).out).toBe('2\n')
  expect((await kv('ls --prefix r -o json')).out).toContain('"key":"r4"')
  expect((await kv('get --prefix r4')).out).toBe('r4\t""\n')
  const refused = await kv('del --start r2 --end r4')
  expect(refused.err).toBe('error: this deletes 2 keys from r2 to before r4; to do that, add --yes\n')
  expect(await kv('del --start r2 --end r4 --yes')).toMatchObject({ code: 0, out: '2\n' })
  expect(await kv('del r1 r2 r4 r1')).toMatchObject({ code: 0, out: '2\n' })
  await put()
  const { revision } = client
  expect(await kv('del r1 r2 none --atomic -o table')).toMatchObject({
    out: `2 keys deleted, revision ${revision + 1}\n`,
  })
  expect(await kv('del --start r --yes')).toMatchObject({ out: '2\n' })
})

test.each([
  ['del a --start b', "--start and --end name the keys: 'a' is one too many"],
  ['del a b --prefix', "only one prefix at a time: 'b' is one too many"],
  ['del --start b --end a', '--start must be before --end: there is no key between them'],
  ['del --prefix a --end b', '--prefix cannot be combined with --start and --end'],
  ['del --prefix', "missing prefix: '' is that of all keys"],
  ['del a b --if-revision 3', '--if-revision is for one key'],
  ['del', "missing required argument 'key'"],
  ['get', "missing required argument 'key'"],
  ['ls a --prefix b', "only one prefix at a time: 'a' is one too many"],
])('%s is a wrong command line', async (line, message) => {
  expect(await kv(line)).toMatchObject({
    code: 2,
    out: '',
    err: expect.stringContaining(`error: ${message}`),
  })
})

const WITHOUT_NODE = [
  ['txn', put('a', 'b'), '; nothing was written'],
  ['txn', get('a'), 'connection refused; check'],
  ['compact 3', '', '; nothing was written'],
  ['del a --prefix', '', '; nothing was written'],
  ['del a b', '', '; nothing was written'],
  ['get a --prefix', '', 'connection refused; check'],
  ['get a --revision 3', '', 'connection refused; check'],
] as const

test('without a node each command says so', async () => {
  const nobody = 'http://127.0.0.1:1'
  const ended = await Promise.all(WITHOUT_NODE.map(([args, stdin]) => kv(args, { stdin, endpoints: nobody })))
  for (const [at, { code, out, err }] of ended.entries()) {
    expect([code, out]).toEqual([7, ''])
    expect(err).toContain(`cannot connect to ${nobody}`)
    expect(err).toContain(WITHOUT_NODE[at]?.[2])
  }
})

test.each([
  [
    'put a b',
    /: no such file or directory; a transaction is JSON, in a file or on standard input: .* <<< '\{/,
  ],
  ['{"success":[]}', /: no such file or directory; a transaction comes from standard input: /],
  ['put.json', /: no such file or directory\n$/],
])('in place of a file, %s gets a hint at the form of a transaction', async (source, hint) => {
  expect(await kv(['txn', source])).toMatchObject({ code: 1, out: '', err: expect.stringMatching(hint) })
})

test('an unknown outcome names the key to look at', async () => {
  const node = await RelayedNode.start()
  node.fault = (seen) =>
    seen.method === 'POST' ? problem(504, 'outcome_unknown', 'the leader is gone') : undefined
  const ended = await kv('txn --timeout 1s', { stdin: put('k', 'v'), endpoints: node.url })
  await node.close()
  expect([ended.code, ended.out]).toEqual([6, ''])
  expect(ended.err).toContain('check with: quorate get k')
})

/** `script` gives a process a terminal. The first answer is typed when `asked` is seen, and so on. */
function atTerminal(
  args: string,
  steps: readonly (readonly [asked: string, typed: string])[],
): Promise<[number | null, string]> {
  const command = `${process.execPath} ${KV} ${args}`
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: scratch,
    env: { ...process.env, KV_ENDPOINTS: url, TERM: 'dumb', NO_COLOR: '1' },
  })
  let out = ''
  let from = 0
  let next = 0
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    for (let step = steps[next]; step !== undefined && out.includes(step[0], from); step = steps[next]) {
      from = out.indexOf(step[0], from) + step[0].length
      next++
      child.stdin.write(step[1])
    }
  })
  return new Promise((resolve) => child.on('close', (code) => resolve([code, out.replaceAll('\r\n', '\n')])))
}

test('on a terminal a file is needed', async () => {
  const { code, out, err } = await kv('txn', { terminals: ['stdin'] })
  expect([code, out]).toEqual([2, ''])
  expect(err).toContain("error: a transaction is missing: quorate txn FILE, or '-' to read it")
})

test('on a terminal Ctrl-C at the question keeps the keys', async () => {
  for (const key of ['q/1', 'q/2']) await client.put(key, '')
  expect((await atTerminal('del q/ --prefix', [['[y/N]', '\x03']]))[0]).toBe(130)
  expect(await client.count({ prefix: 'q/' })).toBe(2)
})
