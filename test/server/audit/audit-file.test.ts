import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { AuditFile, type AuditFileOptions } from '../../../src/server/audit/audit-file.ts'

async function opened(options: Partial<AuditFileOptions> = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-audit-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const path = join(dir, 'audit.log')
  const warnings: string[] = []
  const file = new AuditFile({ path, warn: (message) => warnings.push(message), ...options })
  return { dir, path, warnings, file }
}

test('lines are appended in order, and only their owner may read them', async () => {
  const { path, file } = await opened()
  await file.open()
  for (let line = 0; line < 1000; line++) file.append(`${line}\n`)
  await file.close()
  expect(readFileSync(path, 'utf8')).toBe(Array.from({ length: 1000 }, (_, line) => `${line}\n`).join(''))
  expect(statSync(path).mode & 0o777).toBe(0o600)
  const again = new AuditFile({ path, warn: () => {} })
  await again.open()
  again.append('more\n')
  await again.close()
  expect(readFileSync(path, 'utf8')).toMatch(/999\nmore\n$/)
})

test('a full file gets a number, and the oldest one goes', async () => {
  const { path, file } = await opened({ fileBytes: 10, filesMax: 2 })
  await file.open()
  for (const line of ['one', 'two', 'three', 'four']) {
    file.append(`${line.padEnd(9)}\n`)
    await file.idle()
  }
  await file.close()
  const contents = [path, `${path}.1`, `${path}.2`].map((name) => readFileSync(name, 'utf8').trim())
  expect(contents).toEqual(['four', 'three', 'two'])
  expect(existsSync(`${path}.3`)).toBe(false)
  expect(file.droppedTotal).toBe(0)
})

test('lines that cannot be written are dropped, counted and reported once', async () => {
  const { dir, warnings, file } = await opened({ fileBytes: 10 })
  await file.open()
  file.append('0123456789\n')
  await file.idle()
  // The next file cannot be made.
  rmSync(dir, { recursive: true })
  for (const line of ['a\n', 'b\n', 'c\n']) {
    file.append(line)
    await file.idle()
  }
  expect(file.droppedTotal).toBe(3)
  expect(warnings).toEqual([expect.stringContaining('the audit log loses lines (1 so far)')])
  expect(file.waitingBytes).toBe(0)
  await file.close()
})

test('a disk that is too slow does not fill the memory', async () => {
  const { path, file } = await opened()
  await file.open()
  const line = `${'x'.repeat(2 ** 20 - 1)}\n`
  for (let count = 0; count < 10; count++) file.append(line)
  expect(file.droppedTotal).toBe(6)
  await file.close()
  expect(statSync(path).size).toBe(4 * 2 ** 20)
})

test('a file that others may read is made private', async () => {
  const { path, file } = await opened()
  writeFileSync(path, 'old\n')
  chmodSync(path, 0o644)
  await file.open()
  file.append('new\n')
  await file.close()
  expect([readFileSync(path, 'utf8'), statSync(path).mode & 0o777]).toEqual(['old\nnew\n', 0o600])
})

test('a file of another user is refused', async () => {
  const { path, file } = await opened()
  writeFileSync(path, '')
  const { getuid = () => 0 } = process
  process.getuid = () => getuid() + 1
  onTestFinished(() => void Object.assign(process, { getuid }))
  await expect(file.open()).rejects.toThrow(/belongs to another user \(uid \d+\)/)
})

test.each(['moved', 'deleted', 'copied and cut'] as const)(
  'no line is lost when the file is %s, again and again',
  async (how) => {
    const { path, warnings, file } = await opened({ fileBytes: 1_000 })
    await file.open()
    const write = async (...lines: readonly string[]): Promise<string> => {
      for (const line of lines) {
        file.append(line)
        await file.idle()
      }
      return lines.join('')
    }
    let kept = ''
    for (let round = 0; round < 3; round++) {
      const before = await write(`${round} before\n`, `${round} between\n`)
      if (how === 'copied and cut') copyFileSync(path, `${path}.${round}`)
      if (how === 'moved') renameSync(path, `${path}.${round}`)
      else if (how === 'deleted') rmSync(path)
      else truncateSync(path)
      // A deleted file takes its lines along.
      kept = how === 'deleted' ? '' : kept + before
      kept += await write(`${round} after\n`, `${round} later\n`)
    }
    await file.close()
    const files = [`${path}.0`, `${path}.1`, `${path}.2`, path].filter((name) => existsSync(name))
    expect(files.map((name) => readFileSync(name, 'utf8')).join('')).toBe(kept)
    expect([file.droppedTotal, warnings]).toEqual([0, []])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  },
)

test('a file that was cut is full when it has so many bytes again, not before', async () => {
  const { path, file } = await opened({ fileBytes: 100, filesMax: 2 })
  await file.open()
  for (let round = 0; round < 5; round++) {
    for (let line = 0; line < 4; line++) {
      file.append(`${'x'.repeat(19)}\n`)
      await file.idle()
    }
    expect([statSync(path).size, existsSync(`${path}.1`)]).toEqual([80, false])
    truncateSync(path)
    file.append('cut\n')
    await file.idle()
    truncateSync(path)
  }
  await file.close()
})

test('on a signal the path is opened again, also when nothing is written', async () => {
  const { path, file } = await opened()
  await file.open()
  renameSync(path, `${path}.moved`)
  file.reopen()
  await file.idle()
  expect(existsSync(path)).toBe(true)
  file.append('one\n')
  await file.close()
  expect([readFileSync(path, 'utf8'), readFileSync(`${path}.moved`, 'utf8')]).toEqual(['one\n', ''])
})
