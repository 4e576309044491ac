import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { makeDirectories } from '../../src/files/durable.ts'

function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-directories-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  return dir
}

test('missing parents are created, and the topmost new directory is returned', () => {
  const top = temporaryDirectory()
  expect(makeDirectories(join(top, 'a/b/c'))).toBe(join(top, 'a'))
  expect(makeDirectories(join(top, 'a/b/d/e'))).toBe(join(top, 'a/b/d'))
  expect(makeDirectories(join(top, 'a/b'))).toBeUndefined()
  expect(makeDirectories('/')).toBeUndefined()
})

test('a file in the place of a directory is named', () => {
  const file = join(temporaryDirectory(), 'file')
  writeFileSync(file, '')
  expect(() => makeDirectories(file)).toThrow(expect.objectContaining({ code: 'ENOTDIR', path: file }))
  expect(() => makeDirectories(join(file, 'below'))).toThrow('ENOTDIR')
  expect(() => makeDirectories('')).toThrow('ENOENT')
})
