// Directories that embedded clusters leave in the directory for temporary files: which of them a later cluster removes.

import fs, { mkdtempSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createTemporaryDirectory } from '../../src/embed/temporary-directory.ts'
import { processExists } from '../../src/local/processes.ts'

const { readlinkSync } = fs
let place = ''
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'quorate-places-'))
  vi.stubEnv('TMPDIR', place)
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  fs.readlinkSync = readlinkSync
  syncBuiltinESMExports()
  rmSync(place, { recursive: true, force: true })
})

const failing = (code: string) => () => {
  throw Object.assign(new Error(code), { code })
}

/** This process is in a container with these process ids, where its own id may be that of none. */
function enter(namespace: string | undefined, isAlive: boolean): void {
  const link = namespace === undefined ? failing('EACCES') : () => namespace
  Object.assign(fs, { readlinkSync: link })
  syncBuiltinESMExports()
  vi.spyOn(process, 'kill').mockImplementation(isAlive ? () => true : failing('ESRCH'))
}

/** Creates a directory, as a process whose cluster has run for hours. */
async function createOld(): Promise<string> {
  const { path } = await createTemporaryDirectory()
  const hoursAgo = new Date(Date.now() - 50 * 3_600_000)
  utimesSync(path, hoursAgo, hoursAgo)
  return path
}

// Elsewhere there are no such links.
test.runIf(process.platform === 'linux').each<[string, string | undefined, boolean, boolean]>([
  ['the process is gone', 'container 1', false, true],
  ['the process lives', 'container 1', true, false],
  ['another container has no process of this id', 'container 2', false, false],
  ['the system does not say to which container this process belongs', undefined, false, false],
])('a directory of a cluster, when %s', async (_, namespace, isAlive, isRemoved) => {
  enter('container 1', true)
  const old = await createOld()
  enter(namespace, isAlive)
  const own = await createTemporaryDirectory()
  expect(readdirSync(place).includes(old.slice(place.length + 1))).toBe(!isRemoved)
  await own.remove()
  enter('container 1', false)
  await createTemporaryDirectory()
  expect(readdirSync(place)).toHaveLength(1)
})

test.runIf(process.platform === 'linux')('a directory of an unknown container is never removed', async () => {
  enter(undefined, false)
  const { path } = await createTemporaryDirectory()
  enter('container 1', false)
  await createTemporaryDirectory()
  expect(readdirSync(place)).toContain(path.slice(place.length + 1))
})

test.each([
  ['EPERM', true],
  ['ESRCH', false],
])('a process that must not be signalled exists, of another user for example: %s', (code, isThere) => {
  vi.spyOn(process, 'kill').mockImplementation(failing(code))
  expect(processExists(4_711)).toBe(isThere)
})
