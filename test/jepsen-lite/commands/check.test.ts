// `jepsen-lite check` as a script sees it: exit codes and documents.

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { formatEvent } from '../../../jepsen-lite/workload/history.ts'
import { append, get, put, Story } from '../checker/story.ts'
import { runCommand } from './run-command.ts'

const BIN = join(import.meta.dirname, '../../../bin/jepsen-lite.js')
const folder = mkdtempSync(join(tmpdir(), 'quorate-check-'))
const before = process.cwd()
process.chdir(folder)
afterAll(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true })
})

const check = (...args: readonly string[]) => runCommand('check', ...args)

function write(name: string, story: Story): string {
  mkdirSync(join(folder, name, '..'), { recursive: true })
  writeFileSync(join(folder, name), story.events.map(formatEvent).join('\n'))
  return name
}

const ok = write('ok.jsonl', new Story().tell(put('x', '1'), {}).tell(get('x'), { value: '1' }))
const bad = write('bad.jsonl', new Story().tell(put('x', '1'), {}).tell(get('x'), { value: '2' }))

test('nothing wrong: 0', async () => {
  const { status, stdout, stderr } = await check(ok)
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout).toMatch(/^pass {8}ok\.jsonl {2}\(2 operations, 0 of unknown outcome, 1 key, [0-9.]+ ms\)\n$/)
})

test('the exit code of the process tells the verdict', () => {
  const { status, stdout } = spawnSync(process.execPath, [BIN, 'check', bad], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect(status).toBe(1)
  expect(stdout).toContain('violation')
})

test('a violation: 1, with the operations that show it', async () => {
  const { status, stdout } = await check(ok, bad)
  expect(status).toBe(1)
  expect(stdout).toContain('linearizability: operation 2 fits nowhere')
  expect(stdout).toContain('{"f":"get","key":"x"} → {"value":"2"}')
})

test('the order of transactions is judged too, if the history has any', async () => {
  const story = new Story()
  const asked = [story.ask(get('x'), 'a', 1), story.ask(get('y'), 'a', 1)]
  for (const key of ['x', 'y']) story.ask(put(key, '1'), 'b', 2).ok({ modRevision: 2, revision: 2 })
  asked[0]?.ok({ value: null, revision: 1 })
  asked[1]?.ok({ value: '1', modRevision: 2, revision: 2 })
  const file = write('half.jsonl', story)
  const { status, stdout } = await check(file)
  expect(status).toBe(1)
  expect(stdout).toContain('2 keys, 2 transactions')
  expect(stdout).toContain('transactions: G-single')
  expect(JSON.parse((await check(file, '-o', 'json')).stdout).files[0]).toMatchObject({
    verdict: 'violation',
    linearizable: true,
    transactions: 2,
  })
})

test('a history with a log, and without operations on single keys, is judged by the log', async () => {
  const story = new Story({ log: 'log' })
  const log = story.watch({ start: '', from: 1, prev: false, values: true })
  log({ kind: 'created', revision: 1, from: 2 })
  const line = { key: 'lock/a/1', value: '', createRevision: 2, modRevision: 2, version: 1 }
  log({ kind: 'events', revision: 2, events: [{ key: line.key, type: 'put', record: line }] })
  story.tell({ f: 'lock', name: 'a' }, { token: 2 })
  story.tell({ f: 'guarded-put', name: 'a', token: 2, key: 'g', value: 'v' }, { revision: 3 })
  const lacking = write('lacking-log.jsonl', story)
  expect(await check(lacking)).toMatchObject({
    status: 1,
    stdout: expect.stringContaining('of which the log knows nothing'),
  })
  const record = { key: 'g', value: 'v', createRevision: 3, modRevision: 3, version: 1 }
  log({ kind: 'events', revision: 3, events: [{ key: 'g', type: 'put', record }] })
  const { status, stdout } = await check(write('log.jsonl', story))
  expect(status).toBe(0)
  expect(stdout).toContain('2 operations, 0 of unknown outcome, 1 answers compared with the log')
})

test('undecided: 2', async () => {
  const story = new Story()
  const writes = Array.from({ length: 12 }, (_, n) => story.ask(append('x', `${n % 3}`), `client ${n}`))
  for (const one of writes) one.ok()
  const file = write('large.jsonl', story.tell(get('x'), { value: 'something else' }))
  expect(await check(file, '--budget', '1000')).toMatchObject({ status: 2 })
})

test.each([
  ['a flag that does not exist', ['ok.jsonl', '--bogus'], '--bogus'],
  ['a model that does not exist', ['ok.jsonl', '--model', 'queue'], 'queue'],
  ['a model that does not know an operation', ['ok.jsonl', '--model', 'lock'], 'knows no put'],
  ['a file that does not exist', ['nowhere.jsonl'], 'nowhere.jsonl'],
  ['a format that it is not', ['ok.jsonl', '--format', 'porcupine'], 'line 1'],
])('%s: 3', async (_, args, words) => {
  const { status, stdout, stderr } = await check(...args)
  expect(status).toBe(3)
  expect(stdout + stderr).toContain(words)
})

test('what is undecided, and what could not be judged, is said', async () => {
  const file = write('lacking.jsonl', new Story().tell({ f: 'range' }, { revision: 2 }).tell(get('x'), {}))
  const { status, stdout } = await check(file)
  expect(status).toBe(0)
  expect(stdout).toContain(
    'not judged, as they tell too little: 1 lists without rows, 1 reads without a value',
  )
  expect(JSON.parse((await check(file, '-o', 'json')).stdout).files[0]).toMatchObject({
    undecided: [],
    unjudged: { 'lists without rows': 1, 'reads without a value': 1 },
  })
})

test('what a run calls wrong, this does too: revisions that skip in a history that holds every change', async () => {
  const skips = (header: object): Story =>
    new Story(header)
      .tell(put('x', '1'), { revision: 2, modRevision: 2 })
      .final('n1', 3, 'h', [{ key: 'x', value: '1', modRevision: 2 }])
  expect(await check(write('skips.jsonl', skips({})))).toMatchObject({ status: 0 })
  const { status, stdout } = await check(write('skips.jsonl', skips({ complete: true })))
  expect(status).toBe(1)
  expect(stdout).toContain('revision-accounting: revision 3 is not accounted for')
})

const header = { type: 'history', version: 1, workload: 'w', command: '' }
const invoke = { type: 'invoke', id: 1, client: 0, time: 1, node: 'n1', op: { f: 'get', key: 'x' } }
const answer = { type: 'ok', id: 1, time: 2, result: { value: null } }
const watch = { type: 'watch', id: 1, client: 0, time: 1, node: 'n1', asked: { prev: false, values: true } }
const told = { type: 'told', id: 1, time: 2, told: { kind: 'events', revision: 2, events: [] } }

test.each<[string, readonly object[], string]>([
  [
    'a bound that is a text',
    [header, { ...invoke, op: { f: 'get', key: 'x', maxStalenessMs: '50ms' } }],
    'maxStalenessMs must be a number',
  ],
  [
    'a field that nobody knows',
    [header, { ...invoke, op: { f: 'get', key: 'x', max_staleness: 50 } }],
    'there is no field max_staleness',
  ],
  [
    'an operation that nobody knows',
    [header, { ...invoke, op: { f: 'swap', key: 'x' } }],
    'there is no operation "swap"',
  ],
  ['an operation without its key', [header, { ...invoke, op: { f: 'get' } }], 'key is missing'],
  [
    'a drift that says nothing',
    [{ ...header, clockDriftMax: 1 }, invoke],
    'clockDriftMax must be a fraction',
  ],
  [
    'a level that nobody knows',
    [header, { ...invoke, op: { f: 'get', key: 'x', consistency: 'strong' } }],
    'consistency must be',
  ],
  [
    'an answer of another shape',
    [header, invoke, { ...answer, result: { value: 5 } }],
    'value must be a text or null',
  ],
  [
    'a misspelt answer',
    [header, invoke, { ...answer, result: { value: 'x', mod_revision: 2 } }],
    'there is no field mod_revision',
  ],
  [
    'a row without its revision',
    [header, invoke, { ...answer, result: { rows: [{ key: 'x', value: '1' }] } }],
    'rows must be a list of rows',
  ],
  [
    'a revision that is none',
    [header, invoke, { ...answer, result: { value: null, revision: 1.5 } }],
    'revision must be a whole number',
  ],
  [
    'a range by two names',
    [header, { ...invoke, op: { f: 'range', prefix: 'a', end: 'b' } }],
    'a range by prefix has no start',
  ],
  [
    'a range to delete by two names',
    [header, { ...invoke, op: { f: 'del-range', prefix: 'a', start: 'b' } }],
    'a range by prefix has no start',
  ],
  [
    'a watch of one key and of a range',
    [header, { ...watch, asked: { ...watch.asked, key: 'a', end: 'b' } }],
    'a watch of one key has no start',
  ],
  [
    'an event of a watch that is neither a put nor a delete',
    [header, watch, { ...told, told: { ...told.told, events: [{ type: 'expire', key: 'a' }] } }],
    'told must be a message of a watch',
  ],
  [
    'an event of a watch without its type',
    [header, watch, { ...told, told: { ...told.told, events: [{ key: 'a' }] } }],
    'told must be a message of a watch',
  ],
  [
    'watches, and no log',
    [header, invoke, { ...watch, id: 2 }, answer],
    'operations such as watch are judged by a log',
  ],
  ['a log of nobody', [{ ...header, log: 'log' }, invoke, answer], 'it has no watch'],
  ['an event that nobody knows', [header, { type: 'pause', time: 1 }], 'there is no event "pause"'],
])('%s: 3', async (_, events, words) => {
  writeFileSync(join(folder, 'malformed.jsonl'), events.map((event) => JSON.stringify(event)).join('\n'))
  const { status, stdout } = await check('malformed.jsonl')
  expect(status).toBe(3)
  expect(stdout).toContain(words)
})

test('one document for many files; of a run only its history, of a directory no README', async () => {
  write('many/run/history.jsonl', new Story().tell(put('x', '1'), {}))
  for (const name of ['many/run/n1.log', 'many/README.md', 'many/EXPECTED.tsv']) {
    writeFileSync(join(folder, name), 'no history')
  }
  const { status, stdout } = await check('many', bad, '-o', 'json')
  expect(status).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({
    verdict: 'violation',
    files: [
      { file: join('many', 'run', 'history.jsonl'), verdict: 'pass', linearizable: true, violations: 0 },
      {
        file: 'bad.jsonl',
        verdict: 'violation',
        linearizable: false,
        violations: 1,
        violation_details: [{ check: 'linearizability', key: 'x', calls: [2] }],
      },
    ],
  })
})
