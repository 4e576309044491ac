// Import and export: between a real directory and a node.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { SAME_SIGNAL_MS } from '../../src/cli/terminal/stop-signals.ts'
import { problem, RelayedNode } from '../client/relayed-node.ts'
import { kv as run, startKv } from './run-kv.ts'

let node: RelayedNode
let scratch: string
let dir: string

beforeEach(async () => {
  node = await RelayedNode.start()
  scratch = mkdtempSync(join(tmpdir(), 'quorate-files-'))
  dir = join(scratch, 'dir')
  mkdirSync(dir)
})

afterEach(async () => {
  await node.close()
  rmSync(scratch, { recursive: true, force: true })
})

const kv = (args: string, stdin?: string | Buffer) =>
  run(args.split(' '), { endpoints: node.url, cwd: scratch, ...(stdin === undefined ? {} : { stdin }) })

describe('import of a directory', () => {
  test('once more leaves what clients have written since, with --keep-existing', async () => {
    for (const name of ['a', 'b']) writeFileSync(join(dir, name), 'old')
    await kv('import dir')
    await kv('put a changed')
    await kv('del b')
    const { code, out } = await kv('import dir --keep-existing -o json')
    expect([code, JSON.parse(out)]).toMatchObject([0, { imported: 1, kept: 1 }])
    expect(node.contents).toEqual({ a: 'changed', b: 'old' })
    expect((await kv('import dir --keep-existing')).err).toContain(', 2 left as they were')
    await kv('import dir')
    expect(node.contents.a).toBe('old')
    await kv('import - --keep-existing', '{"key":"c","value":"first"}\n{"key":"c","value":"second"}\n')
    expect(node.contents.c).toBe('first')
    node.fault = ({ method }) => (method === 'PUT' ? problem(507, 'storage_full', 'full') : undefined)
    expect((await kv('import dir --keep-existing')).err).toContain(
      '; nothing else was written: the same command again writes the keys that are missing\n',
    )
  })

  test('keys that are left as they are take no part of what may be in flight', async () => {
    const names = Array.from({ length: 10 }, (_, n) => `large${n}`)
    for (const name of names) {
      writeFileSync(join(dir, name), Buffer.alloc(1_000_000))
      node.set(name, 'before')
    }
    expect((await kv('import dir --keep-existing')).err).toMatch(
      /^imported 0 keys, .*, 10 left as they were\n$/,
    )
    expect(node.contents).toEqual(Object.fromEntries(names.map((name) => [name, 'before'])))
  })

  test('stores regular files under their paths, empty ones and odd names too', async () => {
    mkdirSync(join(dir, 'a/b'), { recursive: true })
    writeFileSync(join(dir, 'a/b/c.txt'), 'deep')
    writeFileSync(join(dir, 'empty'), '')
    writeFileSync(join(dir, 'with space\nand newline'), 'odd')
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]), Buffer.from([0, 1, 2]))
    const ended = await kv('import dir --prefix p/')
    expect(ended).toMatchObject({ code: 0, out: '' })
    expect(ended.err).toMatch(/^imported 4 keys, 10 bytes in [0-9.]+ s\n$/)
    expect(node.contents).toEqual({
      'p/a/b/c.txt': 'deep',
      'p/empty': '',
      'p/with space\nand newline': 'odd',
      'p/\xff\xfe': '\0\u0001\u0002',
    })
  })

  test('the whole of a file is stored, whatever the system says of its size', async () => {
    const told = '/proc/sys/kernel/random/boot_id'
    expect(statSync(told).size).toBe(0)
    expect(await kv('import /proc/sys/kernel/random --prefix p/')).toMatchObject({ code: 0 })
    expect(node.contents['p/boot_id']).toBe(readFileSync(told, 'utf8'))
  })

  test('Ctrl-C ends it also while it only skips', async () => {
    // More lines than a pipe holds: at the first one the command is far from the last.
    for (let at = 0; at < 3_000; at++) symlinkSync('x', join(dir, `${at}-${'l'.repeat(200)}`))
    const running = startKv(['import', 'dir'], { endpoints: node.url, cwd: scratch })
    await running.printed('skipped')
    running.signal('SIGINT')
    const ended = await running.ended
    expect(ended.err).toMatch(/\nstopped after 0 keys, .* skipped\nerror: interrupted\. .*\n$/)
    expect(ended.code).toBe(130)
  })

  test('what is skipped is named as it is called, also if its name looks like a command', async () => {
    symlinkSync('..', join(dir, 'a kv ls'))
    const ended = await kv('import dir')
    expect(ended.err).toMatch(/^skipped a kv ls: a symlink\nimported 0 keys/)
  })

  test('a key that is too long with its prefix is skipped, like any other too long', async () => {
    writeFileSync(join(dir, 'a'), 'x')
    writeFileSync(join(dir, 'ab'), 'x')
    const ended = await kv(`import dir --prefix ${'p'.repeat(4095)}`)
    expect(ended.code).toBe(0)
    expect(ended.err).toMatch(/^skipped ab: its key has 4097 bytes; a key has at most 4096\nimported 1 key,/)
    expect(Object.keys(node.contents)).toEqual([`${'p'.repeat(4095)}a`])
  })

  test('names and counts what it skips, and fails for it only with --strict', async () => {
    writeFileSync(join(dir, 'file'), 'x')
    writeFileSync(join(dir, 'large'), Buffer.alloc(1_048_577))
    writeFileSync(join(scratch, 'secret'), 's')
    symlinkSync('../secret', join(dir, 'link'))
    symlinkSync('..', join(dir, 'up'))
    mkdirSync(join(dir, 'nothing'))
    execFileSync('mkfifo', [join(dir, 'pipe')])
    const socket = createServer().listen(join(dir, 'socket'))
    await new Promise((resolve) => socket.once('listening', resolve))
    const [ended, strict] = await Promise.all([kv('import dir -o json'), kv('import dir --strict')])
    await new Promise((resolve) => socket.close(resolve))
    expect(ended.code).toBe(0)
    expect(JSON.parse(ended.out)).toMatchObject({ imported: 1, skipped: 6, bytes: 1 })
    expect(ended.err.split('\n').sort()).toEqual([
      '',
      'skipped large: 1048577 bytes; a value has at most 1048576',
      'skipped link: a symlink',
      'skipped nothing: an empty directory',
      'skipped pipe: a pipe',
      'skipped socket: a socket',
      'skipped up: a symlink',
    ])
    expect(strict.code).toBe(1)
    expect(Object.keys(node.contents)).toEqual(['file'])
  })

  test('what the cluster alone knows to be too large is skipped as well', async () => {
    writeFileSync(join(dir, 'a'), 'x')
    writeFileSync(join(dir, 'b'), 'x')
    node.fault = (seen) =>
      seen.target === '/v1/kv/a' ? problem(413, 'value_too_large', 'a value has at most 0 bytes') : undefined
    const ended = await kv('import dir')
    expect(ended).toMatchObject({ code: 0 })
    expect(ended.err).toMatch(/^skipped a: a value has at most 0 bytes\nimported 1 key/)
  })

  test('limits that a node tells may be behind: only what no cluster takes is skipped unasked', async () => {
    writeFileSync(join(dir, 'file'), 'xx')
    // It lags: both limits were raised since.
    const behind = { key_bytes_max: 1, value_bytes_max: 1, leases: { on: false, duration_ms: 500 } }
    node.fault = ({ target }) =>
      target === '/v1/cluster/settings' ? { status: 200, body: behind } : undefined
    expect((await kv('import dir')).err).toMatch(/^imported 1 key/)
    expect((await kv('import -', '{"key":"line","value":"yy"}')).err).toMatch(/\nimported 1 key/)
    expect(node.contents).toEqual({ file: 'xx', line: 'yy' })
  })

  test('rides out a fail-over without a word, and writes everything once', async () => {
    for (let n = 0; n < 300; n++) writeFileSync(join(dir, `file-${n}`), `content ${n}`)
    let failing = 0
    node.fault = (seen) => {
      if (seen.method !== 'PUT' || node.rows.size < 100 || failing++ > 80) return undefined
      if (failing % 4 === 0) return problem(503, 'no_leader', 'an election', { retry_after_ms: 10 })
      if (failing % 4 === 1) return problem(504, 'outcome_unknown', 'lost')
      return failing % 2 === 0 ? 'cut' : 'cut-after'
    }
    const ended = await kv('import dir')
    expect(ended.err).toMatch(/^imported 300 keys, .*\n$/)
    expect(node.rows.size).toBe(300)
    expect([...node.rows.values()].every((row) => row.version === 1)).toBe(true)
    expect(failing).toBeGreaterThan(80)
  })

  // Over a wire of 4 Mbit/s 32 values of 1 MB take more than a minute: none was there in time.
  test('of large files few are sent at a time', async () => {
    for (let n = 0; n < 12; n++) writeFileSync(join(dir, `${n}`), Buffer.alloc(1_000_000))
    // Each write in flight has its own connection.
    let connections = 0
    node.fault = () => {
      connections = Math.max(connections, node.connections)
      return undefined
    }
    expect((await kv('import dir')).err).toMatch(/^imported 12 keys, 12.0 MB/)
    expect(connections).toBeLessThanOrEqual(6)
  })

  test.each(['dir', 'lines.ndjson', '- with a pipe'])(
    'on a terminal an import of %s shows what is done on one line, which goes away',
    async (source) => {
      const lines = []
      for (let n = 0; n < 300; n++) {
        writeFileSync(join(dir, `file-${n}`), `content ${n}`)
        lines.push(JSON.stringify({ key: `key-${n}`, value: 'v' }))
      }
      const whole = [...lines, '{"end":true,"count":300}\n'].join('\n')
      writeFileSync(join(scratch, 'lines.ndjson'), whole)
      // The line is shown at most every 100 ms. The last writes begin when the first ones have ended.
      node.fault = ({ method }) => (method === 'PUT' ? { afterMs: 150 } : undefined)
      const { code, err } = await run(['import', source.replace(' with a pipe', '')], {
        endpoints: node.url,
        cwd: scratch,
        terminals: ['stderr'],
        columns: 80,
        env: { NO_COLOR: '1' },
        stdin: source.endsWith('pipe') ? whole : '',
      })
      expect(code).toBe(0)
      const shown = err
        .split('\r')
        .map(stripVTControlCharacters)
        .filter((line) => line !== '')
      expect(shown.length).toBeGreaterThan(2)
      expect(shown.at(-1)).toMatch(/^imported 300 keys, .*\n$/)
      for (const line of shown.slice(0, -1)) expect(line).toMatch(/^imported \d+ keys?, [\d.]+ \w+$/)
      expect(node.rows.size).toBe(300)
    },
  )

  test('stops where a write fails for good, and says how far it came', async () => {
    for (let n = 0; n < 100; n++) writeFileSync(join(dir, `file-${n}`), 'x')
    let puts = 0
    node.fault = (seen) =>
      seen.method === 'PUT' && ++puts > 50 ? problem(507, 'storage_full', 'the store is full') : undefined
    const ended = await kv('import dir')
    expect(ended.code).toBe(1)
    expect(ended.err).toMatch(/^stopped after 50 keys, .*\nerror: .*the store is full.*\n$/)
  })

  test('what became of every write under way decides what is said, not which of them failed first', async () => {
    for (const name of ['done', 'lost', 'refused']) writeFileSync(join(dir, name), 'x')
    node.fault = ({ target }) => {
      // It tells when to come back: the client gives up at once.
      if (target === '/v1/kv/refused')
        return problem(503, 'no_quorum', 'one of three voters', { retry_after_ms: 3_600_000 })
      if (target === '/v1/kv/lost') return { ...problem(504, 'outcome_unknown', 'lost'), do: true }
      return undefined
    }
    const unknown = await kv('import dir --timeout 2s')
    expect(unknown.err).toMatch(/^stopped after 1 key, .*\nerror: the outcome is unknown: .*quorate ls\n$/)
    expect(unknown.err).toContain(
      '; 1 more write may have been made; nothing else was written: the same command again writes every key',
    )
    // The first writes too have a date, so that they are sent again for as long as there is time.
    const keys = node.seen.flatMap(({ headers }) => headers['idempotency-key'] ?? [])
    expect(keys.filter((key) => !key.includes(';since='))).toEqual([])
    expect(unknown.code).toBe(6)
    expect(node.contents).toEqual({ done: 'x', lost: 'x' })
    rmSync(join(dir, 'lost'))
    const refused = await kv('import dir --timeout 2s')
    expect(refused.code).toBe(5)
    expect(refused.err).toMatch(
      /^stopped after 1 key, .*\nerror: .*one of three voters; what failed was not written\n$/,
    )
  })

  test('a mistake in the source does not hide that the outcome of a write is unknown', async () => {
    node.fault = ({ method }) =>
      method === 'PUT' ? { ...problem(504, 'outcome_unknown', 'lost'), do: true } : undefined
    const ended = await kv('import - --timeout 1s', '{"key":"k","value":"v"}\nno record\n')
    expect(ended.err).toMatch(
      /^error: line 2 of .*\nstopped after 0 keys, .*\nerror: the outcome is unknown: .*quorate ls\n$/,
    )
    expect(ended.code).toBe(6)
  })
})

describe('NDJSON', () => {
  test('what no cluster takes is skipped and named, and the others are stored', async () => {
    // Whatever does not fit into the head of a request is refused as malformed, not as too long.
    node.fault = ({ target }) =>
      target.length > 65_000
        ? problem(400, 'bad_request', 'the head of a request may have 65536 bytes')
        : undefined
    const records = [
      { key: 'a', value: 'v' },
      { key: 'k'.repeat(70_000), value: 'v' },
      { key: 'large', value: 'v'.repeat(1_048_577) },
      { key: '', value: 'v' },
      { key: 'b', value: 'v' },
    ]
    const lines = [...records, { end: true, count: records.length }].map((line) => JSON.stringify(line))
    const ended = await kv('import - -o json', lines.join('\n'))
    expect(JSON.parse(ended.out)).toMatchObject({ imported: 2, skipped: 3 })
    expect(ended.code).toBe(0)
    expect(ended.err.split('\n')).toEqual([
      `skipped ${'k'.repeat(4096)}…: its key has 70000 bytes; a key has at most 4096`,
      'skipped large: 1048577 bytes; a value has at most 1048576',
      expect.stringMatching(/^skipped : .*key/),
      '',
    ])
    expect(node.contents).toEqual({ a: 'v', b: 'v' })
  })

  test('a backup is restored whatever its keys and values hold', async () => {
    const odd = ['\u2028', '\u2029', '\u0085', '\r', '\r\n', '\v\f', '\ufeff', '\0', '"\\', '{"end":true}\n']
    // The fake node has keys as bytes, each a character.
    for (const text of odd) node.set(`key ${Buffer.from(text).toString('latin1')}`, `before ${text} after`)
    // Some lie across the borders of what is read at once.
    for (let n = 0; n < 20; n++) node.set(`large ${n}`, '€\u2028'.repeat(9_000 + n))
    const before = new Map(node.rows)
    writeFileSync(join(scratch, 'backup.ndjson'), (await kv('export')).bytes)
    node.clear()
    expect(await kv('import backup.ndjson --strict')).toMatchObject({ code: 0 })
    for (const [key, row] of before) expect(node.rows.get(key)?.value).toEqual(row.value)
    expect(node.rows.size).toBe(before.size)
  })

  test('the last line of a key wins, however long the writes before it take', async () => {
    let put = 0
    node.fault = ({ method }) => (method === 'PUT' ? { afterMs: (7 * put++) % 40 } : undefined)
    const lines = Array.from({ length: 40 }, (_, n) =>
      JSON.stringify({ key: n % 4 === 0 ? 'even' : 'k', value: `${n}` }),
    )
    const whole = [...lines, '{"end":true,"count":40}\n'].join('\n')
    expect(await kv('import - -o json', whole)).toMatchObject({ code: 0, err: '' })
    expect(node.contents).toEqual({ even: '36', k: '39' })
    // Whatever one of them met with.
    node.fault = ({ method }) => (method === 'PUT' && ++put % 5 === 0 ? 'cut-after' : undefined)
    node.clear()
    expect(await kv('import -', whole)).toMatchObject({ code: 0 })
    expect(node.contents).toEqual({ even: '36', k: '39' })
  })

  test('a line that comes when the first write of its key has ended waits for the second', async () => {
    const running = startKv(['import', '-'], { endpoints: node.url, cwd: scratch })
    let puts = 0
    node.fault = ({ method }) => {
      if (method !== 'PUT' || ++puts !== 2) return undefined
      running.stdin.end('{"key":"k","value":"3"}\n')
      return { afterMs: 200 }
    }
    running.stdin.write('{"key":"k","value":"1"}\n{"key":"k","value":"2"}\n')
    expect((await running.ended).code).toBe(0)
    expect([puts, node.contents]).toEqual([3, { k: '3' }])
  })

  test('a key that is not exported is named as it is, also if it looks like a command', async () => {
    node.set('/a kv ls', 'x')
    const ended = await kv('export --dir dir')
    expect(ended.err).toContain('not exported: /a kv ls: it is absolute\n')
  })

  test('of two keys that become one without their prefix, the second is named and left out', async () => {
    for (const key of ['a', 'p/', 'p/a', 'p/b', 'p/z', 'z']) node.set(key, `value of ${key}`)
    const lines = await kv('export --strip-prefix p/')
    expect(lines.code).toBe(1)
    expect(lines.err).toBe(
      'not exported: p/: nothing is left of it without the prefix\n' +
        'not exported: p/a: another key is exported as a\n' +
        'not exported: z: another key is exported as z\n' +
        'error: 3 of 6 keys were not exported; they are named above\n',
    )
    node.clear()
    expect(await kv('import - --strict', lines.bytes)).toMatchObject({ code: 0 })
    const kept = { a: 'value of a', b: 'value of p/b', z: 'value of p/z' }
    expect(node.contents).toEqual(kept)
  })

  test('a write that fails for good ends an import that waits for its input', async () => {
    node.fault = ({ method }) => (method === 'PUT' ? problem(403, 'forbidden', 'no') : undefined)
    const running = startKv(['import', '-'], { endpoints: node.url, cwd: scratch })
    running.stdin.write('{"key":"k","value":"v"}\n')
    expect(await running.ended).toMatchObject({
      code: 1,
      err: expect.stringMatching(/^stopped after 0 keys, .*\nerror: no\n$/),
    })
  })

  test('Ctrl-C ends an import that waits for its input', async () => {
    const running = startKv(['import', '-'], { endpoints: node.url, cwd: scratch })
    node.fault = ({ method }) => {
      if (method === 'PUT') setImmediate(() => running.signal('SIGINT'))
      return undefined
    }
    running.stdin.write('{"key":"k","value":"v"}\n')
    const interrupted = await running.ended
    expect(interrupted.code).toBe(130)
    expect(interrupted.err).toMatch(
      /^stopped after [01] keys?, .*\nerror: interrupted(; the writes in flight may have been made)?\. To continue, run the same command again: .*\n$/,
    )
  })

  test.runIf(process.platform === 'linux')(
    'a second Ctrl-C ends an import also while it reads a pipe as a file',
    async () => {
      const pipe = join(scratch, 'pipe')
      execFileSync('mkfifo', [pipe])
      const running = startKv(['import', pipe], { endpoints: node.url, cwd: scratch })
      // Opened as soon as the other end is.
      await using _writer = await open(pipe, 'w')
      const repeated = setInterval(() => running.signal('SIGINT'), SAME_SIGNAL_MS + 100)
      onTestFinished(() => clearInterval(repeated))
      expect((await running.ended).code).toBe(null)
    },
  )

  test('an export that breaks off fails and writes no end line', async () => {
    for (let n = 0; n < 5; n++) node.set(`k${n}`, 'v')
    node.streamBreaksAfter = 3
    const ended = await kv('export')
    expect(ended.code).toBe(1)
    expect(ended.out).not.toContain('end')
  })

  test('an incomplete or foreign file is told apart from a whole one', async () => {
    const record = '{"key":"k","value":"v"}\n'
    const whole = await kv('import -', `${record}{"end":true,"count":1}\n`)
    expect(whole).toMatchObject({ code: 0 })
    expect(whole.err).not.toContain('incomplete')
    const open = await kv('import -', record)
    expect(open.code).toBe(0)
    expect(open.err).toContain('no end line')
    expect(await kv('import - --strict', record)).toMatchObject({ code: 1 })
    const empty = await kv('import -', '')
    expect(empty).toMatchObject({ code: 1, err: expect.stringContaining('standard input is empty') })
    expect(await kv('import - --strict', '{"end":true,"count":0}\n')).toMatchObject({ code: 0 })
    expect(await kv('import -', `${record}{"end":true,"count":2}\n`)).toMatchObject({ code: 1 })
    expect(await kv('import -', `${record}{"error":{"code":"internal"}}\n`)).toMatchObject({ code: 1 })
    expect(await kv('import -', 'key,value\n')).toMatchObject({ code: 1 })
    expect(await kv('import -', '{"key":{"base64":"a!!"},"value":"v"}\n')).toMatchObject({ code: 1 })
    node.fault = ({ method }) => (method === 'PUT' ? problem(400, 'bad_request', 'no') : undefined)
    expect(await kv('import -', record)).toMatchObject({ code: 1 })
    const asked = node.seen.length
    expect(await kv('import nowhere')).toMatchObject({ code: 1 })
    expect(node.seen).toHaveLength(asked)
  })
})

describe('export to a directory', () => {
  test('two keys that become one without their prefix are two files never made one', async () => {
    for (const key of ['a', 'p/a', 'p/b']) node.set(key, `value of ${key}`)
    const ended = await kv('export --dir dir --strip-prefix p/ --force -o json')
    expect(ended.code).toBe(1)
    expect(JSON.parse(ended.out)).toMatchObject({ exported: 2, refused: 1 })
    expect(ended.err).toContain('not exported: p/a: another key is exported as a\n')
    expect(readFileSync(join(dir, 'a'), 'utf8')).toBe('value of a')
    // Below the prefix there is nothing to clash with.
    expect(await kv('export p/ --dir dir --strip-prefix p/ --force')).toMatchObject({ code: 0 })
    expect(readFileSync(join(dir, 'a'), 'utf8')).toBe('value of p/a')
  })

  test('writes a file for each key, and again without a change', async () => {
    node.set('conf/a/b', 'deep')
    node.set('conf/empty', '')
    node.set('conf/\xff', Buffer.from([0, 255]))
    node.set('other', 'x')
    for (const _ of [1, 2]) {
      const ended = await kv('export conf/ --dir out/new --strip-prefix conf/')
      expect(ended).toMatchObject({ code: 0, out: '' })
      expect(ended.err).toMatch(/^exported 3 keys/)
    }
    expect(readFileSync(join(scratch, 'out/new/a/b'), 'utf8')).toBe('deep')
    expect(readFileSync(join(scratch, 'out/new/empty'), 'utf8')).toBe('')
    const name = Buffer.concat([Buffer.from(`${scratch}/out/new/`), Buffer.from([0xff])])
    expect(readFileSync(name)).toEqual(Buffer.from([0, 255]))
    expect(existsSync(join(scratch, 'out/new/other'))).toBe(false)
  })

  test('names keys that are no safe path, exports the rest and fails', async () => {
    const long = 'x'.repeat(256)
    const unsafe = ['/abs', 'a//b', 'a/./b', '../up', 'a/..', 'nul\0', 'slash/', long]
    for (const key of [...unsafe, 'good', 'clash', 'clash/below', '...', 'a b']) node.set(key, key)
    const ended = await kv('export --dir dir -o json')
    expect(ended.code).toBe(1)
    expect(JSON.parse(ended.out)).toMatchObject({ exported: 4, refused: 9 })
    expect(ended.err).toContain('not exported: /abs: it is absolute\n')
    expect(ended.err).toContain('not exported: ../up: it has the segment ..\n')
    expect(ended.err).toContain('not exported: nul\\x00: it contains NUL\n')
    expect(ended.err).toContain('not exported: clash/below: clash is a file there, not a directory\n')
    for (const key of ['good', 'clash', '...', 'a b']) expect(readFileSync(join(dir, key), 'utf8')).toBe(key)
    expect(existsSync(join(scratch, 'up'))).toBe(false)
  })

  test('overwrites a differing file only with --force, and never what shares it', async () => {
    node.set('k', 'new')
    writeFileSync(join(dir, 'k'), 'old')
    linkSync(join(dir, 'k'), join(scratch, 'hard-link'))
    const refused = await kv('export --dir dir')
    expect(refused.code).toBe(1)
    expect(refused.err).toContain(
      'not exported: k: a file with other content is there; --force overwrites it',
    )
    expect(readFileSync(join(dir, 'k'), 'utf8')).toBe('old')
    expect(await kv('export --dir dir --force')).toMatchObject({ code: 0 })
    expect(await kv('export --force')).toMatchObject({
      code: 2,
      err: expect.stringContaining('goes with --dir'),
    })
    expect(readFileSync(join(dir, 'k'), 'utf8')).toBe('new')
    expect(readFileSync(join(scratch, 'hard-link'), 'utf8')).toBe('old')
  })

  test('who may read a file stays as it was when its content is replaced', async () => {
    node.set('k', 'new')
    for (const mode of [0o600, 0o640, 0o777]) {
      writeFileSync(join(dir, 'k'), 'old')
      chmodSync(join(dir, 'k'), mode)
      expect(await kv('export --dir dir --force')).toMatchObject({ code: 0 })
      expect(readFileSync(join(dir, 'k'), 'utf8')).toBe('new')
      expect(statSync(join(dir, 'k')).mode & 0o777).toBe(mode)
    }
  })

  test('a terminal is shown the names of keys, and never obeys them', async () => {
    const red = '\u001b[31m'
    for (const key of [red, `${red}/below`, `${red}/${'x'.repeat(300)}`]) node.set(key, 'v')
    const { code, err } = await kv('export --dir dir')
    expect(code).toBe(1)
    expect(err).toContain('\\x1b[31m is a file there, not a directory\n')
    const failing = await kv('import -', `{"error":"\u009b31m"}\n`)
    expect(failing).toMatchObject({ code: 1, err: expect.stringContaining('\\x9b31m') })
    expect(err + failing.err).not.toMatch(/(?!\n)\p{Cc}/u)
  })

  test.each(['export --dir dir', 'export'])('%s that breaks off takes its progress away', async (args) => {
    for (let n = 0; n < 5; n++) node.set(`k${n}`, 'v')
    node.streamBreaksAfter = 3
    const options = {
      endpoints: node.url,
      cwd: scratch,
      terminals: ['stderr'],
      env: { NO_COLOR: '1' },
    } as const
    const ended = await run(args.split(' '), options)
    expect(ended.code).toBe(1)
    // The part of each line that remains on the screen.
    const shown = ended.err.split('\n').map((line) => line.slice(line.lastIndexOf('\u001b[2K') + 4))
    expect(ended.err).toContain('\u001b[2K')
    expect(shown[0]).toMatch(/^error: /)
  })

  test('goes through no symlink, not even with --force', async () => {
    mkdirSync(join(scratch, 'outside'))
    writeFileSync(join(scratch, 'outside/file'), 'mine')
    symlinkSync('../outside', join(dir, 'folder'))
    symlinkSync('../outside/file', join(dir, 'file'))
    symlinkSync('../outside/new', join(dir, 'dangling'))
    for (const key of ['folder/file', 'folder/new', 'file', 'dangling', 'fine']) node.set(key, 'theirs')
    expect(await kv('export --dir dir --force')).toMatchObject({ code: 1 })
    expect(readFileSync(join(scratch, 'outside/file'), 'utf8')).toBe('mine')
    expect(existsSync(join(scratch, 'outside/new'))).toBe(false)
    expect(lstatSync(join(dir, 'file')).isSymbolicLink()).toBe(true)
    expect(readFileSync(join(dir, 'fine'), 'utf8')).toBe('theirs')
  })
})
