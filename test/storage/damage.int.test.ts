// The results of damage to a replica on a real LevelDB: either exactly the acknowledged state, or a refusal that names
// the fault and the remedy, and leaves the files unchanged. No other result is allowed.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { formatStorage, openStorage } from '../../src/storage/directory.ts'
import { isLocked } from '../../src/storage/level/level-engine.ts'
import { runs } from '../runs.ts'
import { crashImage, type Outcome, outcomeOf } from './damage.ts'
import { type Files, filesOf, putFiles, temporaryDirectory } from './files.ts'
import { closed, identity, initial } from './samples.ts'
import { contentAfter } from './workload.ts'

/** Every `step`-th number from a random start, so that several runs cover all of them. */
function every(from: number, to: number, step: number): number[] {
  const wide = Math.round((step * 1000) / runs(1000))
  const first = from + randomInt(wide)
  return Array.from({ length: Math.max(0, Math.ceil((to - first) / wide)) }, (_, at) => first + at * wide)
}

let dir: string

beforeAll(async () => {
  const parent = await temporaryDirectory()
  // Each refusal asks for the lock from a directory there.
  vi.stubEnv('TMPDIR', parent)
  dir = join(parent, 'damaged')
})
afterAll(() => {
  vi.unstubAllEnvs()
  rmSync(join(dir, '..'), { recursive: true, force: true })
})

/** The content of `dir`, when it is known. */
let inPlace: Files | undefined

function placeFiles(files: Files): void {
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir)
  putFiles(dir, files)
}

/** The outcome for these files with some of them changed; undefined: deleted. */
async function become(
  files: Files,
  change: Readonly<Record<string, Buffer | undefined>>,
  suspectTail = false,
): Promise<Outcome> {
  if (inPlace !== files) placeFiles(files)
  for (const [name, content] of Object.entries(change)) {
    if (content === undefined) rmSync(join(dir, name))
    else writeFileSync(join(dir, name), content)
  }
  inPlace = undefined
  const outcome = await outcomeOf(dir, { discardSuspectTail: suspectTail })
  if (outcome.kind === 'refused' && outcome.untouched) {
    for (const name of Object.keys(change)) writeFileSync(join(dir, name), contentOfFile(files, name))
    inPlace = files
  }
  return outcome
}

function flipped(content: Buffer, bit: number): Buffer {
  const copy = Buffer.from(content)
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

const named = (files: Files, pattern: RegExp): string[] =>
  [...files.keys()].filter((name) => pattern.test(name)).sort()

function contentOfFile(files: Files, name: string): Buffer {
  const content = files.get(name)
  if (content === undefined) throw new Error(`no ${name}`)
  return content
}

/** The newest WAL. In every image here it is not empty. */
const walOf = (files: Files): string => named(files, /\.log$/).at(-1) ?? ''

function expectRefusal(outcome: Outcome, file: string, where?: string): void {
  expect(outcome, where).toMatchObject({ kind: 'refused', untouched: true })
  if (outcome.kind !== 'refused') return
  expect(outcome.message).toContain(file)
  expect(outcome.message).toContain('--join URL --replace')
}

describe('a small replica, killed', () => {
  let files: Files
  let content: string

  beforeAll(async () => {
    files = await crashImage(9)
    content = await contentAfter(9)
  })

  test('has exactly the acknowledged state', async () => {
    expect(await become(files, {})).toEqual({ kind: 'opened', content })
  })

  test.each([
    ['CURRENT', /^CURRENT$/],
    ['IDENTITY', /^IDENTITY$/],
    ['the MANIFEST', /^MANIFEST-/],
    ['the WAL', /\.log$/],
  ])('is refused with any one bit of %s flipped', async (_what, pattern) => {
    const [name = ''] = named(files, pattern)
    const whole = contentOfFile(files, name)
    expect(whole.length).toBeGreaterThan(0)
    for (const bit of every(0, whole.length * 8, 5)) {
      const outcome = await become(files, { [name]: flipped(whole, bit) })
      // A flipped bit in CURRENT may make it name another file.
      expectRefusal(outcome, name === 'CURRENT' ? '' : name, `bit ${bit}`)
    }
  })

  test('does without a side file that is torn', async () => {
    const whole = contentOfFile(files, 'WATERMARK')
    const torn = Array.from({ length: 128 / 16 }, (_, at) => flipped(whole, at * 16 + at))
    for (const broken of [...torn, Buffer.alloc(0), whole.subarray(0, 9)])
      expect(await become(files, { WATERMARK: broken })).toEqual({ kind: 'opened', content })
  })

  test('is refused when a file is deleted or emptied', async () => {
    const names = named(files, /^(CURRENT|IDENTITY|MANIFEST-.*|.*\.log|.*\.ldb)$/)
    expect(names.length).toBeGreaterThanOrEqual(6)
    for (const name of names) {
      expectRefusal(await become(files, { [name]: undefined }), name)
      expectRefusal(await become(files, { [name]: Buffer.alloc(0) }), name === walOf(files) ? '.log' : name)
    }
    expectRefusal(await become(files, { WATERMARK: undefined }), 'WATERMARK')
  })

  test('is refused when a file is cut anywhere', async () => {
    for (const name of named(files, /^(CURRENT|IDENTITY|.*\.log|.*\.ldb)$/)) {
      const whole = contentOfFile(files, name)
      for (const length of every(0, whole.length, name.endsWith('.ldb') ? 29 : 3)) {
        const outcome = await become(files, { [name]: whole.subarray(0, length) })
        expectRefusal(outcome, name.endsWith('.log') ? '.log' : name, `cut at ${length}`)
      }
    }
  })

  test('is whole or refused when MANIFEST is cut anywhere', async () => {
    const [name = ''] = named(files, /^MANIFEST-/)
    const whole = contentOfFile(files, name)
    for (const length of every(0, whole.length, 1)) {
      const outcome = await become(files, { [name]: whole.subarray(0, length) })
      if (outcome.kind === 'opened') expect(outcome.content).toBe(content)
      else expectRefusal(outcome, '', `cut at ${length}`)
    }
  })

  test('may drop a damaged last frame on request, but not one that was acknowledged', async () => {
    const older = await crashImage(8, { restartEvery: 6 })
    const newer = await crashImage(9, { restartEvery: 6 })
    const wal = walOf(newer)
    const whole = contentOfFile(newer, wal)
    const broken = flipped(whole, (whole.length - 3) * 8)
    const unacknowledged = { [wal]: broken, WATERMARK: contentOfFile(older, 'WATERMARK') }
    const refusal = await become(newer, unacknowledged)
    expectRefusal(refusal, wal)
    expect(refusal).toMatchObject({ message: expect.stringContaining('--discard-suspect-tail') })
    expect(await become(newer, unacknowledged, true)).toEqual({
      kind: 'opened',
      content: await contentAfter(8),
    })
    expectRefusal(await become(newer, { [wal]: broken }, true), '.log')
  })
})

describe('a last batch that was never acknowledged', () => {
  test.each([
    ['a small one', 0],
    ['one that spans blocks', 40_000],
  ])('is there whole or not at all: %s', async (_what, padding) => {
    const images = new Map<number, Files>()
    const files = await crashImage(10, { padding }, (now, batches) => images.set(batches, now))
    const acknowledged = images.get(9) ?? new Map()
    const wal = walOf(files)
    const whole = contentOfFile(files, wal)
    const begin = contentOfFile(acknowledged, wal).length
    const before = await contentAfter(9, padding)
    const watermark = { WATERMARK: contentOfFile(acknowledged, 'WATERMARK') }
    const cuts = padding === 0 ? every(begin, whole.length, 3) : nearBlocks(begin, whole.length)
    for (const length of cuts) {
      const outcome = await become(files, { ...watermark, [wal]: whole.subarray(0, length) })
      expect(outcome, `cut at ${length} of ${begin} to ${whole.length}`).toEqual({
        kind: 'opened',
        content: before,
      })
    }
    const kept = await become(files, watermark)
    expect(kept).toEqual({ kind: 'opened', content: await contentAfter(10, padding) })
    for (const length of [begin - 1, begin - 8, Math.floor(begin / 2), 7, 1, 0])
      expectRefusal(await become(files, { ...watermark, [wal]: whole.subarray(0, length) }), '.log')
  })

  /** Cuts within a header, and on both sides of the ends of blocks. */
  const nearBlocks = (from: number, to: number): number[] =>
    [
      from + 1,
      from + 6,
      from + 7,
      from + 19,
      ...[1, 2, 3].flatMap((block) => around(block * 32_768)),
      to - 1,
    ].filter((cut) => cut > from && cut < to)
  const around = (at: number): number[] => [-8, -1, 0, 1, 6, 7, 8].map((by) => at + by)
})

describe('a replica of several tables and blocks', () => {
  test('is refused with a bit flipped anywhere in what LevelDB would read', async () => {
    const files = await crashImage(30, { restartEvery: 14, padding: 3000 })
    const names = named(files, /^(MANIFEST-.*|.*\.log)$/)
    for (const name of names) {
      const whole = contentOfFile(files, name)
      for (let count = 0; count < runs(150) && whole.length > 0; count++) {
        const bit = randomInt(whole.length * 8)
        const outcome = await become(files, { [name]: flipped(whole, bit) })
        expect(outcome, `bit ${bit} of ${name}`).toMatchObject({ kind: 'refused', untouched: true })
      }
    }
  })

  test('is refused with a bit flipped anywhere in a table', async () => {
    const files = await crashImage(30, { restartEvery: 14, padding: 100 })
    await become(files, {})
    // Opening has written everything to tables, and left a copy of the WAL to damage.
    const storage = await openStorage(dir)
    await closed(storage)
    const expected = join(dir, '..', 'expected')
    writeFileSync(expected, await contentAfter(30, 100))
    const whole = filesOf(dir)
    // LevelDB may have been closed before it deleted those that it had compacted.
    const tables: string[] = []
    for (const name of named(whole, /\.ldb$/))
      if ((await become(whole, { [name]: undefined })).kind === 'refused') tables.push(name)
    expect(tables).not.toEqual([])
    placeFiles(whole)
    const bits = tables.flatMap((name) => {
      const size = contentOfFile(whole, name).length
      return Array.from({ length: runs(size > 1000 ? 60 : 10) }, () => `${name} ${randomInt(size * 8)}`)
    })
    const verdicts = await verdictsOf(bits, expected)
    // The padding of the footer (48 bytes) means nothing.
    const isInFooter = (name: string, bit: number): boolean =>
      bit >= 8 * (contentOfFile(whole, name).length - 48)
    const missed = verdicts.filter((verdict) => {
      const [name = '', bit, outcome] = verdict.split(' ')
      return outcome !== 'refused' && !(outcome === 'unharmed' && isInFooter(name, Number(bit)))
    })
    expect(missed).toEqual([])
  })

  /**
   * One line for each file and bit, with the outcome. If the process dies, the damage was noticed, and the next process
   * continues.
   */
  async function verdictsOf(bits: readonly string[], expected: string): Promise<string[]> {
    const verdicts: string[] = []
    for (let left = bits; left.length > 0; ) {
      const child = run('reader.child.ts', [dir, expected])
      child.stdin?.end(left.join('\n'))
      const lines = await linesOf(child)
      const done = lines.filter((line) => !line.endsWith('begun'))
      verdicts.push(...done)
      const died = lines.at(-1)?.endsWith('begun')
      if (died) verdicts.push(`${left[done.length]} ended the process`)
      else expect(done).toHaveLength(left.length)
      left = left.slice(done.length + (died ? 1 : 0))
    }
    return verdicts
  }
})

describe('a process that writes', () => {
  async function formatted(): Promise<string> {
    const home = await temporaryDirectory()
    onTestFinished(() => rmSync(home, { recursive: true, force: true }))
    await formatStorage(home, identity, initial)
    return home
  }

  async function expectContent(home: string, acknowledged: number, padding: number): Promise<number> {
    const outcome = await outcomeOf(home)
    const allowed = [await contentAfter(acknowledged, padding), await contentAfter(acknowledged + 1, padding)]
    expect(outcome.kind === 'opened' ? outcome.content : outcome.message).toBeOneOf(allowed)
    return acknowledged + (outcome.kind === 'opened' && outcome.content === allowed[1] ? 1 : 0)
  }

  const lastStored = (lines: readonly string[], before: number): number =>
    Number(lines.findLast((line) => line.startsWith('stored'))?.slice(7) ?? before)

  test('loses nothing acknowledged when it is killed, again and again', async () => {
    const home = await formatted()
    let stored = 0
    for (let round = 0; round < runs(8); round++) {
      const child = run('writer.child.ts', [home, `${stored + 1}`, '2000'])
      const enough = stored + 1 + randomInt(60)
      const lines = await linesOf(child, (line) => {
        if (line === `stored ${enough}`) child.kill('SIGKILL')
      })
      stored = await expectContent(home, lastStored(lines, stored), 2000)
      expect(stored).toBeGreaterThanOrEqual(enough)
    }
  })

  test('stops at the first write that fails for lack of room, and keeps what it acknowledged', async () => {
    const home = await formatted()
    // 100 blocks of 512 bytes: the WAL may not grow beyond 50 KiB.
    const child = run('writer.child.ts', [home, '1', '500'], 'ulimit -f 100; exec "$0" "$@"')
    const lines = await linesOf(child)
    expect(lines.slice(-2)).toEqual([expect.stringMatching(/^failed .*File too large/), 'abandoned'])
    expect(lines).not.toContain('answered after a failure')
    await expectContent(home, lastStored(lines, 0), 500)
  })

  test('keeps others out of its directory, with a clear message', async () => {
    const home = await formatted()
    const child = run('writer.child.ts', [home, '1', '0'])
    const refusals: unknown[] = []
    const locked: boolean[] = []
    const refusal = (): Promise<unknown> => openStorage(home).catch((error: unknown) => error)
    await linesOf(child, async (line) => {
      if (line !== 'stored 3') return
      child.kill('SIGSTOP')
      const log = statSync(join(home, 'LOG')).ino
      refusals.push(await refusal())
      // A starting process reads LOG to check the recovery of LevelDB.
      expect(statSync(join(home, 'LOG')).ino === log).toBe(existsSync('/proc/locks'))
      // Another process may read a file during a write and find it damaged.
      const [manifest = ''] = named(filesOf(home), /^MANIFEST/)
      appendFileSync(join(home, manifest), 'half of an edit')
      refusals.push(await refusal())
      // Simulates a process in another container, which does not see this process or its locks.
      locked.push(await isLocked(home))
      child.kill('SIGKILL')
    })
    for (const each of refusals)
      expect(each).toMatchObject({ name: 'StorageInUseError', message: expect.stringContaining('in use') })
    expect(refusals).toHaveLength(2)
    expect([...locked, await isLocked(home)]).toEqual([true, false])
  })
})

const children: ChildProcess[] = []
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
})

function run(script: string, args: readonly string[], shell?: string): ChildProcess {
  const command = [process.execPath, join(import.meta.dirname, script), ...args]
  const [program = '', ...rest] = shell === undefined ? command : ['sh', '-c', shell, ...command]
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

async function linesOf(child: ChildProcess, each: (line: string) => unknown = () => {}): Promise<string[]> {
  if (child.stdout === null) throw new Error('no stdout')
  const lines: string[] = []
  const ended = once(child, 'close')
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    await each(line)
  }
  await ended
  return lines
}
