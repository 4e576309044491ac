import {
  closeSync,
  existsSync,
  linkSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openDirectory } from '../../src/files/directory-descriptor.ts'
import { makeDirectories, writeFileAtomically } from '../../src/files/durable.ts'

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

test('a file is written anew beside the old one: what another user left in the place of the new file is replaced', () => {
  const top = temporaryDirectory()
  const [path, target, hard] = [join(top, 'file'), join(top, 'target'), join(top, 'hard')]
  for (const each of [target, hard]) writeFileSync(each, 'other')
  symlinkSync(target, `${path}.new`)
  writeFileAtomically(path, 'one', 0o600)
  linkSync(hard, `${path}.new`)
  writeFileAtomically(path, 'two', 0o600)
  expect([path, target, hard].map((each) => readFileSync(each, 'utf8'))).toEqual(['two', 'other', 'other'])
  expect([statSync(path).mode & 0o777, existsSync(`${path}.new`)]).toEqual([0o600, false])
})

/** Only Linux has it. */
const hasDescriptors = existsSync('/proc/self/fd')

test.runIf(hasDescriptors)('links of root lead to a directory, relative and absolute ones', () => {
  const pathOf = (path: string): string => {
    const directory = openDirectory(path)
    onTestFinished(() => closeSync(directory))
    return readlinkSync(`/proc/self/fd/${directory}`)
  }
  // The kernel's own links: of the directory of this process, and of the one that it works in.
  expect(pathOf('/proc/self/fd')).toBe(`/proc/${process.pid}/fd`)
  expect(pathOf('/proc/self/cwd/test')).toBe(join(process.cwd(), 'test'))
  expect(pathOf('/')).toBe('/')
})
