// At most one supervisor per directory, and no directory that stays locked after a supervisor was killed.

import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { ControlAddress } from '../../src/local/cluster-file.ts'
import { ask } from '../../src/local/control-client.ts'
import { type ControlServer, startControlServer } from '../../src/local/control-server.ts'
import { directoryId } from '../../src/local/directory-id.ts'
import { LOCK_FILE, releaseLock, takeLock } from '../../src/local/supervisor-lock.ts'

let dir = ''
const servers: ControlServer[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quorate-lock-'))
})
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
  rmSync(dir, { recursive: true, force: true })
})

let pid = 1_000
async function supervisor(): Promise<ControlAddress> {
  const token = `token ${pid}`
  const server = await startControlServer(token, directoryId(dir), async () => ({ ok: true, said: '' }))
  servers.push(server)
  return { pid: pid++, control: server.url, token }
}

test('a lock that is a symlink to nothing holds up nobody', async () => {
  symlinkSync('nothing', join(dir, LOCK_FILE))
  const [first, second] = [await supervisor(), await supervisor()]
  expect(await takeLock(dir, first)).toBeUndefined()
  expect(await takeLock(dir, second)).toEqual(first)
})

test('the first takes it, the second learns who has it, and after the release it is free', async () => {
  const [first, second] = [await supervisor(), await supervisor()]
  expect(await takeLock(dir, first)).toBeUndefined()
  expect(await takeLock(dir, second)).toEqual(first)
  releaseLock(dir, second)
  expect(await takeLock(dir, second)).toEqual(first)
  releaseLock(dir, first)
  expect(await takeLock(dir, second)).toBeUndefined()
})

test('of many that find the lock of a dead supervisor, one takes it', async () => {
  const dead = await supervisor()
  expect(await takeLock(dir, dead)).toBeUndefined()
  servers.pop()?.close()

  const rivals = await Promise.all(Array.from({ length: 8 }, supervisor))
  const answers = await Promise.all(rivals.map((rival) => takeLock(dir, rival)))
  const winners = rivals.filter((_, at) => answers[at] === undefined)
  expect(winners).toHaveLength(1)
  expect(answers.filter((answer) => answer !== undefined)).toEqual(Array(7).fill(winners[0]))
})

test('the holder of another directory does not hold the copy of its lock', async () => {
  const [first, second] = [await supervisor(), await supervisor()]
  expect(await takeLock(dir, first)).toBeUndefined()
  const copy = mkdtempSync(join(tmpdir(), 'quorate-lock-'))
  try {
    cpSync(dir, copy, { recursive: true })
    expect(await takeLock(copy, second)).toBeUndefined()
    expect(await takeLock(dir, second)).toEqual(first)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
})

test('a supervisor that does not say which directory is its own is believed, and told only what it knows', async () => {
  const token = 'of an older version'
  const server = await startControlServer(token, undefined, async () => ({ ok: true, said: '' }))
  servers.push(server)
  const older = { pid: pid++, control: server.url, token }
  expect(await takeLock(dir, older)).toBeUndefined()
  expect(await takeLock(dir, await supervisor())).toEqual(older)
  // As it sees a command that is new: this is no end of it.
  const reply = await ask(older, Object.assign({ command: 'status' } as const, { command: 'unheard-of' }))
  expect(reply).toMatchObject({ ok: false, said: expect.stringContaining('another version') })
  expect(reply).not.toHaveProperty('stopping')
})

test('a stranger on the port of a dead supervisor does not hold the lock', async () => {
  const dead = await supervisor()
  expect(await takeLock(dir, dead)).toBeUndefined()
  servers.pop()?.close()
  const stranger = await startControlServer('something else', directoryId(dir), async () => ({
    ok: true,
    said: '',
  }))
  servers.push(stranger)
  releaseLock(dir, dead)
  expect(await takeLock(dir, { ...dead, control: stranger.url })).toBeUndefined()
  expect(await takeLock(dir, await supervisor())).toBeUndefined()
})
