import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
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
