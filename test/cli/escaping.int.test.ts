// Stored bytes and names of files do not control the terminal of a user who looks at them.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { escapeLines, escapeText } from '../../src/cli/format/text.ts'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { queue, registry } from '../../src/recipes/index.ts'
import { kv as run, spawnedKv } from './run-kv.ts'

const EVIL = '\x1b]0;owned\x07\x1b[2J\x9b\u202e\u2066'

let cluster: EmbeddedCluster
let client: Client
let endpoints: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  client = cluster.client()
  endpoints = cluster.endpoints.join()
})
afterAll(() => cluster.close())

/** Control characters, beside line ends and tabs. */
const controlsIn = (text: string) => text.match(/(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu) ?? []

/** Clears the line of a progress. */
const CLEARED = '\r\x1b[2K'
const TERMINALS = ['stdin', 'stdout', 'stderr'] as const

async function shownBy(...args: readonly string[]): Promise<string> {
  const { out, err } = await run(args, {
    ...{ endpoints, terminals: TERMINALS, columns: 200 },
    env: { NO_COLOR: '1' },
  })
  return (out + err).replaceAll(CLEARED, '')
}

test('a field has one line, a text its own', () => {
  expect(escapeText(`a\tb\n${EVIL}`)).toBe('a\\x09b\\x0a\\x1b]0;owned\\x07\\x1b[2J\\x9b\\u202e\\u2066')
  expect(escapeLines('a\tb\r\nc\r\x1b')).toBe('a\tb\r\nc\\x0d\\x1b')
  expect(escapeText('زبان \u200f עברית 👩‍👩‍👧')).toBe('زبان \u200f עברית 👩‍👩‍👧')
})

test.each([
  ['a value', () => client.put('evil', EVIL), ['get', 'evil']],
  ['a key', () => client.put(`evil/${EVIL}`, EVIL), ['ls', 'evil', '--values']],
  ['a key that does not exist', async () => {}, ['get', EVIL]],
  ['a condition', () => client.put(EVIL, ''), ['put', EVIL, '', '--if-absent']],
  ['the history of a key', () => client.put('evil', EVIL), ['history', 'evil']],
  ['the head of a queue', () => queue(client, 'peeked').push(EVIL), ['queue', 'peek', 'peeked']],
  ['an item of a queue', () => queue(client, 'popped').push(EVIL), ['queue', 'pop', 'popped']],
  ['names of queues', () => queue(client, EVIL).push(EVIL), ['queue', 'list']],
  [
    'an instance',
    () =>
      registry(client, EVIL)
        .register({ url: EVIL, meta: { a: EVIL } })
        .then(() => {}),
    ['service', 'list'],
  ],
])('%s', async (_, prepare, command) => {
  await prepare()
  const shown = await shownBy(...command)
  expect(shown).toContain('\\x1b')
  expect(controlsIn(shown)).toEqual([])
})

test.each(['json', 'ndjson'])('a record with -o %s', async (format) => {
  await client.put('separated', `${EVIL}\u2028\u2029`)
  const shown = await shownBy('get', 'separated', '-o', format)
  expect(shown).not.toMatch(/[\u2028\u2029]/)
  expect(controlsIn(shown)).toEqual([])
  expect(JSON.parse(shown).value).toBe(`${EVIL}\u2028\u2029`)
})

test('the keys of a lease, each a line', async () => {
  const { id } = await client.grantLease({ ttlMs: 60_000 })
  await client.put(`leased/\n${EVIL}`, '', { lease: id })
  const shown = await shownBy('lease', 'show', id, '--keys')
  expect(controlsIn(shown)).toEqual([])
  expect(shown).toContain('leased/\\x0a\\x1b')
})

test('a dead letter, and the error of its consumer', async () => {
  const items = queue(client, 'dead', { attemptsMax: 1 })
  await items.push(EVIL)
  await (await items.pop())?.nack({ error: EVIL })
  const shown = await shownBy('queue', 'dead', 'dead')
  expect(controlsIn(shown)).toEqual([])
  expect(shown.match(/owned/g)).toHaveLength(2)
})

test('the name of a file, and a key that a file cannot have', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  mkdirSync(join(directory, `${EVIL}\nimported 7 keys`))
  writeFileSync(join(directory, 'good'), '')
  const shown = await shownBy('import', directory, '--prefix', 'files/')
  expect(controlsIn(shown)).toEqual([])
  expect(shown.match(/^imported/gm) ?? []).toHaveLength(1)
  await client.put(`files/${EVIL}/..`, '')
  const exported = await shownBy('export', 'files/', '--dir', join(directory, 'out'))
  expect(exported).toContain('not exported')
  expect(controlsIn(exported)).toEqual([])
})

test.each([
  [`valueless/ready/${EVIL}`, '{"attempts":0}'],
  ['foreign/ready/x', 'x'],
])('an item that no queue has written is an error of one line: %j', async (key, value) => {
  await client.put(`queue/${key}`, value)
  const { err } = await run(['queue', 'pop', key.split('/')[0] ?? ''], { endpoints })
  expect(err).toMatch(/^error: .*\n$/)
  expect(controlsIn(err)).toEqual([])
})

test('a warning of a recipe is one line, and an error has no stack', async () => {
  await client.put(`queue/strange/item/${EVIL}`, 'x')
  const { code, err } = await spawnedKv(['queue', 'pop', 'strange'], { endpoints })
  expect(code).toBe(3)
  expect(err.trim().split('\n').sort()).toEqual([
    'error: the queue strange has no item that is ready',
    expect.stringMatching(/^warning: the key .*/),
  ])
  expect(controlsIn(err)).toEqual([])
})

test('a defect is one line, wherever it is thrown', async () => {
  // It is thrown when the command makes its connection.
  const preload = `
    import { subscribe } from 'node:diagnostics_channel'
    subscribe('net.client.socket', () => setImmediate(() => { throw new TypeError('\\x1b[2J of a defect') }))
  `
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` }
  expect(await spawnedKv(['watch', 'a'], { endpoints, env })).toMatchObject({
    code: 1,
    err: 'error: \\x1b[2J of a defect\n',
  })
})
