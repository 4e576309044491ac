// The log of a node, where it cannot be written.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { oneLine } from '../../src/cli/node-log.ts'
import { logDestination } from '../../src/server/process/log-destination.ts'

test('of lines that cannot be written one MiB waits until they can, and nothing else happens', async () => {
  // As on a full disk: each write fails.
  const file = openSync(import.meta.filename, 'r')
  const logger = pino(logDestination(file))
  expect(() => logger.info('one')).not.toThrow()
  await turn()
  for (let line = 0; line < 3000; line++) expect(() => logger.info('x'.repeat(1000))).not.toThrow()
  await turn()
  const dir = mkdtempSync(join(tmpdir(), 'quorate-log-'))
  closeSync(file)
  expect(openSync(join(dir, 'log'), 'w')).toBe(file)
  logger.info('two')
  closeSync(file)
  const lines = readFileSync(join(dir, 'log'), 'utf8')
  expect(lines).toContain('"one"')
  expect(lines.length).toBeGreaterThan(1_000_000)
  expect(lines.length).toBeLessThanOrEqual(1024 * 1024)
  rmSync(dir, { recursive: true })
})

// The default `kv node start 2>&1 | …`: once a process has looked at its stderr, a pipe there takes what fits, and no
// more.
test('a reader that stands still, or is gone, holds up nobody, and gets all when it reads on, without another line', () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-log-'))
  const pipe = join(dir, 'pipe')
  execFileSync('mkfifo', [pipe])
  const script = `
    const { closeSync, constants, openSync, readSync } = await import('node:fs')
    const { setImmediate: turn } = await import('node:timers/promises')
    const { logDestination } = await import(${JSON.stringify(resolve('src/server/process/log-destination.ts'))})
    const open = (flag) => openSync(${JSON.stringify(pipe)}, flag | constants.O_NONBLOCK)
    const gone = open(constants.O_RDONLY)
    const log = logDestination(open(constants.O_WRONLY))
    closeSync(gone)
    log.write('first\\n')
    const reader = open(constants.O_RDONLY)
    for (let line = 0; line < 100; line++) log.write('x'.repeat(999) + '\\n')
    const read = () => {
      let bytes = 0
      try {
        for (let more; (more = readSync(reader, Buffer.alloc(65_536))) > 0; ) bytes += more
      } catch {}
      return bytes
    }
    const before = read()
    let bytes = before
    while (bytes < 100_006) {
      await turn()
      bytes += read()
    }
    console.log(JSON.stringify({ isHeldBack: before < 100_000, bytes }))`
  const process_ = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 120_000 })
  expect(JSON.parse(process_.stdout.toString() || 'null')).toEqual({ isHeldBack: true, bytes: 100_006 })
  rmSync(dir, { recursive: true })
})

test('the reason why a node ended reaches a reader that only pauses', () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-log-'))
  const pipe = join(dir, 'pipe')
  execFileSync('mkfifo', [pipe])
  const stderr = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK)
  const script = `
    const { constants, openSync, readSync, writeSync } = await import('node:fs')
    const { sayLast } = await import(${JSON.stringify(resolve('src/cli/terminal/output.ts'))})
    try { for (;;) writeSync(2, 'a line\\n') } catch {}
    const said = sayLast('error: why')
    const reader = openSync(${JSON.stringify(pipe)}, constants.O_RDONLY | constants.O_NONBLOCK)
    const read = Buffer.alloc(1_000_000)
    let bytes = readSync(reader, read)
    await said
    try { bytes += readSync(reader, read, { offset: bytes }) } catch {}
    process.stdout.write(read.subarray(bytes - 18, bytes))`
  const process_ = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', stderr],
    timeout: 120_000,
  })
  closeSync(stderr)
  expect(process_.stdout.toString()).toBe('a line\nerror: why\n')
  rmSync(dir, { recursive: true })
})

test('the format of the log can be chosen; off a terminal it is JSON', () => {
  const script = `const { nodeLog } = await import(${JSON.stringify(resolve('src/cli/node-log.ts'))})
    for (const format of [undefined, 'json', 'text']) nodeLog('n1', 'info', format).info({ term: 3 }, 'elected')`
  const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 120_000 })
  const [byDefault = '', json = '', text, ...more] = stderr.toString().split('\n')
  const line = { level: 30, node: 'n1', term: 3, msg: 'elected' }
  expect(JSON.parse(byDefault)).toMatchObject(line)
  expect(JSON.parse(json)).toMatchObject(line)
  expect([text, ...more]).toEqual([expect.stringMatching(/^\d\d:\d\d:\d\d n1 {2}elected {2}term=3$/), ''])
})

test('on a terminal a line says each thing once', () => {
  const shown = (fields: object, msg: string): string =>
    oneLine(JSON.stringify({ level: 30, time: 0, node: 'n1', ...fields, msg })).replace(/^\S+ /, '')
  expect(shown({ role: 'leader', term: 2, leader: 'n1' }, 'leader in term 2: won the election')).toBe(
    'n1  leader in term 2: won the election  leader=n1',
  )
  expect(shown({ voters: ['n1', 'n4'], votersOutgoing: [], learners: ['n5'] }, 'n4 is a voter')).toBe(
    'n1  n4 is a voter  voters=n1,n4  learners=n5',
  )
  const reason = 'n4 (replica 7) was removed from the cluster. To bring the node back, add it.'
  expect(shown({ err: { message: reason, stack: 'at …' } }, `stopping: ${reason}`)).toBe(
    `n1  stopping: ${reason}`,
  )
  expect(shown({ boot: 1, ok: false, why: null }, 'connected to n12')).toBe(
    'n1  connected to n12  boot=1  ok=false  why=null',
  )
})

const LISTENS = ['--listen', '127.0.0.1:0', '--peer-listen', '127.0.0.1:0']

// Ctrl-S, or a container with a terminal whose output nobody takes.
test.runIf(existsSync('/usr/bin/script'))('a terminal that stands still holds up nobody', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-log-'))
  const script = join(dir, 'script.mjs')
  writeFileSync(
    script,
    `import { spawnSync } from 'node:child_process'
    import { constants, openSync, writeFileSync, writeSync } from 'node:fs'
    import { setImmediate as turn } from 'node:timers/promises'
    import { nodeLog } from ${JSON.stringify(resolve('src/cli/node-log.ts'))}
    import { startReport } from ${JSON.stringify(resolve('src/cli/cluster/report.ts'))}
    const terminal = openSync('/dev/tty', constants.O_WRONLY | constants.O_NONBLOCK)
    const isOpen = () => { try { return writeSync(terminal, '.') > 0 } catch { return false } }
    const logger = nodeLog('n1', 'info')
    while (isOpen()) await turn()
    logger.info({}, 'held back')
    startReport('.kv/cluster', 'table').say('nobody sees it')
    const start = ${JSON.stringify([resolve('bin/kv.js'), 'node', 'start', '--name', 'n1', '--data', join(dir, 'none'), ...LISTENS])}
    const lastWords = { stdio: ['ignore', 'ignore', 'inherit'], timeout: 60_000, killSignal: 'SIGKILL' }
    const { status } = spawnSync(process.execPath, start, lastWords)
    writeFileSync(${JSON.stringify(join(dir, 'logged'))}, String(status))
    while (!isOpen()) await turn()
    logger.info({}, 'last')`,
  )
  const terminal = spawn('script', ['-qfc', `${process.execPath} ${script}`, '/dev/null'])
  const ended = new Promise((done) => terminal.on('close', done))
  let shown = ''
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
  })
  try {
    terminal.stdin.write('\u0013')
    await expect.poll(() => existsSync(join(dir, 'logged'))).toBe(true)
    terminal.stdin.write('\u0011')
    await ended
    // A node that did not start has ended as well.
    expect(readFileSync(join(dir, 'logged'), 'utf8')).toBe('2')
    expect(shown).toMatch(/held back.*last/s)
  } finally {
    terminal.kill()
    await ended
    rmSync(dir, { recursive: true })
  }
})
