import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import type { Client } from '../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../src/embed/index.ts'
import { type Ended, kv as run, spawnKv, startingUntil, startKv } from './run-kv.ts'

let cluster: EmbeddedCluster
let client: Client
let scratch: string

beforeAll(async () => {
  cluster = await startCluster({ nodes: 1 })
  client = cluster.client()
})

afterAll(async () => {
  await cluster.close()
})

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'quorate-watch-'))
})

afterEach(() => {
  rmSync(scratch, { recursive: true, force: true })
})

const endpoints = () => cluster.endpoints.join(',')
const kv = (...args: string[]) => run(args, { endpoints: endpoints(), cwd: scratch })

/** Runs the command until it has printed as many lines, and then interrupts it. */
async function linesOf(count: number, ...args: string[]): Promise<Ended> {
  const running = startKv(args, { endpoints: endpoints(), cwd: scratch })
  await running.printed(new RegExp(`(.*\\n){${count}}`))
  running.signal('SIGINT')
  return running.ended
}

/** If it still runs. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {}
}

const script = (text: string): string => {
  const path = join(scratch, 'command.mjs')
  writeFileSync(path, text)
  return path
}

test('a line for each event, with words that hold no tab and no line end', async () => {
  const first = await client.put('plain/a', 'x\ty')
  await client.put('plain/a', '')
  await client.delete('plain/a')
  const from = first.revision
  const ended = await linesOf(3, 'watch', '--prefix', 'plain/', '--from', `${from}`, '--prev')
  expect(ended).toMatchObject({
    code: 130,
    out: `${from}\tput\tplain/a\t"x\\ty"\t\n${from + 1}\tput\tplain/a\t""\t"x\\ty"\n${from + 2}\tdelete\tplain/a\t\t""\n`,
  })
})

test('ndjson has a line for each event', async () => {
  const { revision } = await client.txn({
    success: [
      { put: { key: 'json/a', value: new Uint8Array([255]) } },
      { put: { key: 'json/b', value: 'b' } },
    ],
  })
  await client.delete('json/b')
  const ended = await linesOf(3, 'watch', '--prefix', 'json/', '--from', `${revision}`, '-o', 'ndjson')
  const at = { create_revision: revision, mod_revision: revision, version: 1 }
  expect(
    ended.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { revision, type: 'put', kv: { key: 'json/a', value: { base64: '/w==' }, ...at } },
    { revision, type: 'put', kv: { key: 'json/b', value: 'b', ...at } },
    { revision: revision + 1, type: 'delete', key: 'json/b', mod_revision: revision + 1 },
  ])
})

test('one key, or one kind of change', async () => {
  const { revision } = await client.put('only/a', '1')
  await client.put('only/b', '2')
  await client.delete('only/a')
  await client.delete('only/b')
  const from = ['--from', `${revision}`]
  const oneKey = await linesOf(2, 'watch', 'only/b', ...from)
  expect(oneKey.out).toBe(`${revision + 1}\tput\tonly/b\t2\n${revision + 3}\tdelete\tonly/b\t\n`)
  const deletes = await linesOf(2, 'watch', '--prefix', '', '--only', 'delete', ...from)
  expect(deletes.out).toBe(`${revision + 2}\tdelete\tonly/a\t\n${revision + 3}\tdelete\tonly/b\t\n`)
})

test('--exec runs the command once for each revision, one at a time, and ends with its exit code', async () => {
  const { revision } = await client.put('exec/a', '0')
  for (let n = 1; n < 5; n += 1) await client.put('exec/a', `${n}`)
  const command = script(`
    import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
    writeFileSync('running', '', { flag: 'wx' })
    const { revision, events } = JSON.parse(readFileSync(0))
    appendFileSync('log', process.env.KV_REVISION + ' ' + revision + ' ' + events[0].kv.value + '\\n')
    rmSync('running')
    process.exit(events[0].kv.value === '3' ? 7 : 0)`)
  const ended = await kv(
    'watch',
    'exec/a',
    '--from',
    `${revision}`,
    '--exec',
    '--',
    process.execPath,
    command,
  )
  expect(ended.code).toBe(7)
  expect(ended.err).toContain(`ended with exit code 7 at revision ${revision + 3}; --from ${revision + 3}`)
  const log = [0, 1, 2, 3].map((n) => `${revision + n} ${revision + n} ${n}\n`).join('')
  expect(readFileSync(join(scratch, 'log'), 'utf8')).toBe(log)
})

test('a command need not read its standard input, whatever its size', async () => {
  const { revision } = await client.put('large/a', Buffer.alloc(500_000, 'v'))
  await client.put('large/a', Buffer.alloc(500_000, 'w'))
  const command = script(`
    import { appendFileSync, readFileSync } from 'node:fs'
    appendFileSync('log', '1')
    process.exit(readFileSync('log').length === 2 ? 3 : 0)`)
  const ended = await kv(
    'watch',
    'large/a',
    '--from',
    `${revision}`,
    '--exec',
    '--',
    process.execPath,
    command,
  )
  expect(ended.code).toBe(3)
})

test('a command that does not exist, or that a signal ends', async () => {
  const { revision } = await client.put('bad/a', '1')
  const from = ['watch', 'bad/a', '--from', `${revision}`, '--exec', '--']
  expect(await kv(...from, 'no-such-command')).toMatchObject({
    code: 1,
    err: `error: cannot run no-such-command at revision ${revision}: there is no such command\n`,
  })
  // Node throws for these, where it tells of others later.
  expect(await kv(...from, `${process.execPath}/command`)).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^error: cannot run \S+\/command at revision \d+: [^\n]+\n$/),
  })
  expect(await kv(...from, 'x'.repeat(5_000))).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^error: cannot run x+ at revision \d+: [^\n]+\n$/),
  })
  expect(await kv(...from, 'sh', '-c', 'kill -KILL $$')).toMatchObject({ code: 137 })
})

test('Ctrl-C gives the command SIGTERM, waits for its end, and ends with 130', async () => {
  const { revision } = await client.put('slow/a', '1')
  const command = script(`
    import { writeFileSync } from 'node:fs'
    process.on('SIGTERM', () => { writeFileSync('ended', ''); process.exit(5) })
    setInterval(() => {}, 1000)
    console.log('runs')`)
  const ended = await linesOf(
    1,
    'watch',
    'slow/a',
    '--from',
    `${revision}`,
    '--exec',
    '--',
    process.execPath,
    command,
  )
  expect(ended).toMatchObject({ code: 130, out: 'runs\n' })
  expect(existsSync(join(scratch, 'ended'))).toBe(true)
})

test.each(['SIGTERM', 'SIGHUP'] as const)(
  '%s is for the command too: the watch waits for its end, and ends by the signal',
  async (signal) => {
    const { revision } = await client.put('slow/b', '1')
    const command = script(`
    import { writeFileSync } from 'node:fs'
    process.on('SIGTERM', () => { writeFileSync('ended', ''); process.exit(0) })
    setInterval(() => {}, 1000)
    console.log('runs ' + process.pid)`)
    const args = ['slow/b', '--from', `${revision}`, '--exec', '--', process.execPath, command]
    const running = startKv(['watch', ...args], { endpoints: endpoints(), cwd: scratch })
    onTestFinished(async () => kill(Number((await running.ended).out.split(' ')[1])))
    await running.line()
    running.signal(signal)
    expect((await running.ended).code).toBe(null)
    expect(existsSync(join(scratch, 'ended'))).toBe(true)
  },
)

test('a signal that comes while the command is started is for it too', async () => {
  const { revision } = await client.put('slow/c', '1')
  const command = script(`
    import { writeFileSync } from 'node:fs'
    process.on('SIGTERM', () => { writeFileSync('ended', ''); process.exit(0) })
    setInterval(() => {}, 1000)
    console.log(process.pid)`)
  const args = ['slow/c', '--from', `${revision}`, '--exec', '--', process.execPath, command]
  const started = join(scratch, 'started')
  const env = startingUntil(started)
  const child = spawnKv(['watch', ...args], { endpoints: endpoints(), cwd: scratch, env })
  const ended = new Promise((resolve) => child.on('exit', (_, name) => resolve(name)))
  const pid: Buffer = await new Promise((resolve) => child.stdout.once('data', resolve))
  onTestFinished(() => kill(Number(pid.toString())))
  child.kill('SIGTERM')
  writeFileSync(started, '')
  expect(await ended).toBe('SIGTERM')
  expect(existsSync(join(scratch, 'ended'))).toBe(true)
})

test('a reader of the output that stops ends it quietly', async () => {
  const { revision } = await client.put('pipe/a', '1')
  const args = ['watch', 'pipe/a', '--from', `${revision}`]
  expect(await run(args, { endpoints: endpoints(), reader: 'gone' })).toMatchObject({ code: 0, err: '' })
})

test('compacted events are an error that says how to go on', async () => {
  await client.put('old/a', '1')
  const { revision } = await client.put('old/a', '2')
  await client.compact(revision)
  const ended = await kv('watch', 'old/a', '--from', '1')
  expect(ended.code).toBe(1)
  expect(ended.err).toContain(
    `read the keys anew (ls, export), and watch with --from ${revision} to continue`,
  )
})

test('no server: 7', async () => {
  const ended = await run(['watch', 'k'], { endpoints: 'http://127.0.0.1:1', cwd: scratch })
  expect(ended.code).toBe(7)
})

test.each<[string[], string]>([
  [['watch'], "name a key, or --prefix P; --prefix '' watches all keys"],
  [['watch', 'a', '--prefix', 'b'], 'a key and --prefix contradict each other'],
  [['watch', 'a', 'b'], 'b is one too many'],
  [['watch', 'a', '--exec'], '--exec needs a command after --'],
  [['watch', 'a', '--exec', 'true'], '--exec needs a command after --'],
  [['watch', '--prefix', 'p', 'a', '--exec', '--', 'true'], 'contradict each other'],
  [['watch', 'a', '--exec', '--', ''], 'the name of the command is empty'],
  [['watch', 'a', '--from', '0'], 'the first revision is 1'],
  [['watch', 'a', '--only', 'gets'], '--only: one of put, delete, not '],
])('%j is a wrong command line', async (args, message) => {
  const ended = await kv(...args)
  expect(ended.code).toBe(2)
  expect(ended.err).toContain(message)
})
