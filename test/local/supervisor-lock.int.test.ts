// At most one supervisor per directory, and no directory that stays locked after a supervisor was killed.

import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { parsePort } from '../../src/local/addresses.ts'
import { computeProof, failed, succeeded } from '../../src/local/cluster/control-protocol.ts'
import type { ControlAddress } from '../../src/local/directory/cluster-file.ts'
import {
  findSupervisor,
  LOCK_DIRECTORY,
  releaseLock,
  takeLock,
} from '../../src/local/supervisor/supervisor-lock.ts'
import {
  listenForCommands,
  type SupervisorSocket,
  sendCommand,
} from '../../src/local/supervisor/supervisor-socket.ts'
import type { ControlRequest } from '../../src/operations/documents/supervisor.ts'
import { failingFs } from './failing-fs.ts'

let dir = ''
const sockets: SupervisorSocket[] = []
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'quorate-lock-'))
})
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close()
  rmSync(dir, { recursive: true, force: true })
})

let pid = 1_000
async function supervisor(): Promise<ControlAddress> {
  const token = `token ${pid}`
  const socket = await listenForCommands(dir, token, async ({ command }) => succeeded(command))
  sockets.push(socket)
  return { pid: pid++, control: socket.control, token }
}

test('the first takes it, the second learns its holder, and after the release it is free', async () => {
  const [first, second] = [await supervisor(), await supervisor()]
  expect(await takeLock(dir, first)).toBeUndefined()
  expect(await takeLock(dir, second)).toEqual(first)
  releaseLock(dir, second)
  expect(await takeLock(dir, second)).toEqual(first)
  expect(await findSupervisor(dir)).toEqual(first)
  releaseLock(dir, first)
  expect(await takeLock(dir, second)).toBeUndefined()
})

test('of many that find the lock of a dead supervisor, one takes it', async () => {
  const dead = await supervisor()
  expect(await takeLock(dir, dead)).toBeUndefined()
  sockets.pop()?.close()
  expect(await findSupervisor(dir)).toBeUndefined()

  const rivals = await Promise.all(Array.from({ length: 8 }, supervisor))
  const holders = await Promise.all(rivals.map((rival) => takeLock(dir, rival)))
  const winners = rivals.filter((_, at) => holders[at] === undefined)
  expect(winners).toHaveLength(1)
  expect(holders.filter((holder) => holder !== undefined)).toEqual(Array(7).fill(winners[0]))
})

test('the holder of another directory does not hold the copy of its lock', async () => {
  const [first, second] = [await supervisor(), await supervisor()]
  expect(await takeLock(dir, first)).toBeUndefined()
  const copy = mkdtempSync(join(tmpdir(), 'quorate-lock-'))
  try {
    cpSync(dir, copy, { recursive: true })
    expect(await findSupervisor(copy)).toBeUndefined()
    expect(await takeLock(copy, second)).toBeUndefined()
    expect(await takeLock(dir, second)).toEqual(first)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
})

test('another process at the port of a dead supervisor does not hold the lock', async () => {
  const dead = await supervisor()
  sockets.pop()?.close()
  const other = await supervisor()
  expect(await takeLock(dir, { ...dead, control: other.control })).toBeUndefined()
  expect(await takeLock(dir, await supervisor())).toBeUndefined()
})

test('a command needs the token', async () => {
  const holder = await supervisor()
  expect(await sendCommand(holder, { command: 'heal', link: undefined })).toMatchObject({
    ok: true,
    message: 'heal',
  })
  // This process identifies itself with another token, so the command does not send its own.
  const other = { ...holder, token: 'guess' }
  expect(await sendCommand(other, { command: 'heal', link: undefined })).toMatchObject({
    ok: false,
    supervisor: 'ended',
  })
})

/** Sends a request as it stands on the wire. Returns the reply, which is not decoded either. */
async function exchangeRaw({ control, token }: ControlAddress, request: object): Promise<unknown> {
  const socket = connect(parsePort(control), '127.0.0.1').setEncoding('utf8')
  socket.write(`{"challenge":"${'0'.repeat(32)}"}\n`)
  await once(socket, 'data')
  socket.write(`${JSON.stringify({ token, request })}\n`)
  const [reply] = await once(socket, 'data')
  socket.destroy()
  return JSON.parse(reply)
}

test('commands and supervisors of version 0.1.0 are understood, and later ones are refused with a reason', async () => {
  const received: ControlRequest[] = []
  const handle = async (request: ControlRequest) => {
    received.push(request)
    return failed(5, 'no majority')
  }
  const socket = await listenForCommands(dir, 'token', handle)
  sockets.push(socket)
  const address = { pid, control: socket.control, token: 'token' }
  const rejoin = { command: 'rejoin', node: 'n1', evenIfHealthy: true } as const
  expect(await exchangeRaw(address, rejoin)).toEqual({ ok: false, exitCode: 5, message: 'no majority' })
  expect(received).toEqual([{ ...rejoin, authorization: undefined }])
  for (const request of [{ command: 'upgrade' }, { command: 'kill' }, {}])
    expect(await exchangeRaw(address, request)).toEqual({
      ...{ ok: false, exitCode: 1 },
      message: expect.stringMatching(
        /^the supervisor runs version .* does not know this request .*cluster stop/,
      ),
    })
  expect(received).toHaveLength(1)
})

test.each([
  ['{"ok":true,"message":"done"}', { ok: true, message: 'done' }],
  [
    '{"ok":false,"exitCode":2,"message":"no","supervisor":"stopping"}',
    { ok: false, exitCode: 2, message: 'no', supervisor: 'stopping' },
  ],
  [
    '{"ok":true,"message":"","status":{}}',
    { ok: false, exitCode: 1, message: expect.stringMatching(/of another version: .*"cluster_id"/) },
  ],
  ['', { ok: false, supervisor: 'ended' }],
])('the reply %s of a supervisor is read, or the reason is named', async (line, expected) => {
  const token = 'token'
  const server = createServer(async (socket) => {
    const [challenge] = await once(socket.setEncoding('utf8'), 'data')
    const proof = computeProof(token, JSON.parse(challenge).challenge)
    socket.write(`${JSON.stringify({ proof, data_dir: dir })}\n`)
    await once(socket, 'data')
    socket.end(`${line}\n`)
  })
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const control = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`
  expect(await sendCommand({ pid, control, token }, { command: 'status' })).toMatchObject(expected)
})

test('what a supervisor has said to another program does not pass for it when it is dead', async () => {
  const dead = await supervisor()
  const other = connect(parsePort(dead.control), '127.0.0.1').setEncoding('utf8')
  other.write(`{"challenge":"${'0'.repeat(32)}"}\n`)
  const [said] = await once(other, 'data')
  other.destroy()

  let heard = ''
  const impostor = createServer((socket) => {
    socket.setEncoding('utf8').write(said)
    socket
      .on('error', () => {})
      .on('data', (text: string) => {
        heard += text
      })
  })
  impostor.listen(0, '127.0.0.1')
  onTestFinished(() => void impostor.close())
  await once(impostor, 'listening')
  const control = `tcp://127.0.0.1:${(impostor.address() as AddressInfo).port}`
  expect(await takeLock(dir, { ...dead, control })).toBeUndefined()
  expect(await findSupervisor(dir)).toBeUndefined()
  const [reply] = await Promise.race([
    Promise.all([sendCommand({ ...dead, control }, { command: 'heal', link: undefined })]),
    vi.waitUntil(() => heard.includes(dead.token), 10_000).then(() => [heard]),
  ])
  expect(reply).toMatchObject({ ok: false, supervisor: 'ended' })
})

test.each<[string, (lock: string) => void]>([
  ['a file, as of earlier versions, without a supervisor', (lock) => writeFileSync(lock, '{}')],
  ['an empty directory', (lock) => mkdirSync(lock)],
  [
    'a directory of a user',
    (lock) => {
      mkdirSync(lock)
      writeFileSync(join(lock, 'other'), '')
    },
  ],
])('what names no supervisor is no lock: %s', async (_, make) => {
  make(join(dir, LOCK_DIRECTORY))
  expect(await findSupervisor(dir)).toBeUndefined()
  const [first, second] = [await supervisor(), await supervisor()]
  expect(await takeLock(dir, first)).toBeUndefined()
  expect(await takeLock(dir, second)).toEqual(first)
  releaseLock(dir, first)
  expect(readdirSync(dir)).toEqual([])
})

test('the supervisor of an earlier version, whose lock is a file, holds the directory', async () => {
  const first = await supervisor()
  writeFileSync(join(dir, LOCK_DIRECTORY), JSON.stringify(first))
  expect(await takeLock(dir, await supervisor())).toEqual(first)
})

test.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])(
  'a file system without hard links (%s) will do',
  async (code) => {
    failingFs('linkSync', dir, code)
    const [first, second] = [await supervisor(), await supervisor()]
    expect(await takeLock(dir, first)).toBeUndefined()
    expect(await takeLock(dir, second)).toEqual(first)
    releaseLock(dir, first)
    expect(await takeLock(dir, second)).toBeUndefined()
  },
)

test('a command that waits is answered, however many connect meanwhile and send nothing', async () => {
  const [begun, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const socket = await listenForCommands(dir, 'token', async () => {
    begun.resolve()
    await answer.promise
    return succeeded('done')
  })
  sockets.push(socket)
  const reply = sendCommand({ pid, control: socket.control, token: 'token' }, { command: 'status' })
  await begun.promise
  const silent = Array.from({ length: 100 }, () => connect(parsePort(socket.control), '127.0.0.1').resume())
  onTestFinished(() => silent.forEach((each) => void each.destroy()))
  // The oldest of them have ended.
  await Promise.all(silent.slice(0, 30).map((each) => once(each, 'close')))
  answer.resolve()
  expect(await reply).toEqual(succeeded('done'))
})

test('connections that send nothing are bounded and end, and a command is answered beside them', async () => {
  const address = await supervisor()
  const silent = Array.from({ length: 100 }, () => connect(parsePort(address.control), '127.0.0.1').resume())
  const closed = silent.map((socket) => once(socket, 'close'))
  await Promise.all(silent.map((socket) => once(socket, 'connect')))
  await Promise.all(closed.slice(0, 30))
  expect(await sendCommand(address, { command: 'status' })).toEqual(succeeded('status'))
  await Promise.all(closed)
}, 20_000)
