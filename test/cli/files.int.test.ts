// Import and export: between a real directory and a node.

import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeNode, problem } from '../client/fake-node.ts'
import { kv as run } from './run-kv.ts'

let node: FakeNode
let scratch: string
let dir: string

beforeEach(async () => {
  node = await FakeNode.start()
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
  test('stores regular files under their paths, empty ones and odd names too', async () => {
    mkdirSync(join(dir, 'a/b'), { recursive: true })
    writeFileSync(join(dir, 'a/b/c.txt'), 'deep')
    writeFileSync(join(dir, 'empty'), '')
    writeFileSync(join(dir, 'with space\nand newline'), 'odd')
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]), Buffer.from([0, 1, 2]))
    const ended = await kv('import dir --prefix p/')
    expect(ended).toMatchObject({ code: 0, out: '' })
    expect(ended.err).toMatch(/^imported 4 keys, 0.0 MB in [0-9.]+ s\n$/)
    expect(node.contents).toEqual({
      'p/a/b/c.txt': 'deep',
      'p/empty': '',
      'p/with space\nand newline': 'odd',
      'p/\xff\xfe': '\0\u0001\u0002',
    })
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

  test('stops where a write fails for good, and says how far it came', async () => {
    for (let n = 0; n < 100; n++) writeFileSync(join(dir, `file-${n}`), 'x')
    node.fault = (seen) =>
      seen.method === 'PUT' && node.rows.size >= 50
        ? problem(507, 'storage_full', 'the store is full')
        : undefined
    const ended = await kv('import dir')
    expect(ended.code).toBe(1)
    expect(ended.err).toMatch(/^stopped after 50 keys, .*\nerror: the store is full\n$/)
  })
})

describe('NDJSON', () => {
  test('what export writes, import takes', async () => {
    node.set('text', 'grüße\n')
    node.set('bytes/\xff', Buffer.from([0, 255]))
    node.set('empty', '')
    const exported = await kv('export')
    expect(exported).toMatchObject({ code: 0, err: '' })
    expect(JSON.parse(exported.out.trimEnd().split('\n').at(-1) ?? '')).toEqual({
      end: true,
      count: 3,
      revision: 4,
    })
    const before = new Map(node.rows)
    node.rows.clear()
    writeFileSync(join(scratch, 'backup.ndjson'), exported.out)
    expect(await kv('import backup.ndjson')).toMatchObject({ code: 0 })
    expect(await kv('import - --prefix copy/', exported.bytes)).toMatchObject({ code: 0 })
    for (const [key, row] of before) {
      expect(node.rows.get(key)?.value).toEqual(row.value)
      expect(node.rows.get(`copy/${key}`)?.value).toEqual(row.value)
    }
  })

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
    expect(await kv('import -', `${record}{"end":true,"count":2}\n`)).toMatchObject({ code: 1 })
    expect(await kv('import -', `${record}{"error":{"code":"internal"}}\n`)).toMatchObject({ code: 1 })
    expect(await kv('import -', 'key,value\n')).toMatchObject({ code: 1 })
    expect(await kv('import -', '{"key":{"base64":"a!!"},"value":"v"}\n')).toMatchObject({ code: 1 })
    node.fault = ({ method }) => (method === 'PUT' ? problem(400, 'bad_request', 'no') : undefined)
    expect(await kv('import -', record)).toMatchObject({ code: 1 })
    expect(await kv('import nowhere')).toMatchObject({ code: 1 })
  })
})

describe('export to a directory', () => {
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
