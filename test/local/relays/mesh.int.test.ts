// The relays of a cluster, cut and healed: which nodes reach each other.

import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createRelayMesh, type RelayMesh } from '../../../src/local/relays/mesh.ts'
import type { ListenAddress } from '../../../src/server/options.ts'

const NAMES = ['n1', 'n2', 'n3']

/** Sends its name to every caller. */
async function peer(name: string): Promise<ListenAddress> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {})
    socket.write(`${name}\n`)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound')
  return { host: '127.0.0.1', port: address.port }
}

async function mesh(): Promise<RelayMesh> {
  const peers = new Map(await Promise.all(NAMES.map(async (name) => [name, await peer(name)] as const)))
  const made = await createRelayMesh(NAMES, (name) => peers.get(name))
  onTestFinished(() => made.close())
  return made
}

function dial(made: RelayMesh, from: string, to: string): Socket {
  const [host = '', port = ''] = made.addressesFor(from)[to]?.split(':') ?? []
  const socket = connect({ host, port: Number(port) })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

/** Resolves when the socket has closed, with or without an error. */
const closes = (socket: Socket): Promise<void> =>
  new Promise((resolve) => socket.once('close', () => resolve()))

const heard = async (socket: Socket): Promise<string> => String((await once(socket, 'data'))[0])

/** Whether each pair is connected. A dial of a pair that is cut off hangs. */
async function reaches(made: RelayMesh, pairs: readonly (readonly [string, string])[]): Promise<boolean[]> {
  const answered = pairs.map(() => false)
  const sockets = pairs.map(([from, to], at) =>
    dial(made, from, to).on('data', () => {
      answered[at] = true
    }),
  )
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  // After three whole exchanges within the first group, every byte that can pass has arrived.
  for (let round = 0; round < 3; round++) expect(await heard(dial(made, 'n2', 'n3'))).toBe('n3\n')
  for (const socket of sockets) socket.destroy()
  return answered
}

const PAIRS = [
  ['n1', 'n2'],
  ['n2', 'n1'],
  ['n3', 'n1'],
  ['n2', 'n3'],
  ['n3', 'n2'],
] as const

test('each node dials all others, each through a separate relay, and no node itself', async () => {
  const made = await mesh()
  const addresses = NAMES.flatMap((from) => {
    const mine = made.addressesFor(from)
    expect(Object.keys(mine).sort()).toEqual(NAMES.filter((name) => name !== from))
    return Object.values(mine)
  })
  expect(new Set(addresses).size).toBe(6)
  for (const from of NAMES)
    for (const to of NAMES) if (from !== to) expect(await heard(dial(made, from, to))).toBe(`${to}\n`)
})

test('groups reach themselves alone until they are healed; connections between them break only where that is asked', async () => {
  const made = await mesh()
  const groups = [['n1'], ['n2', 'n3']]
  for (const reset of [false, true]) {
    const across = dial(made, 'n1', 'n2')
    const within = dial(made, 'n3', 'n2')
    await Promise.all([heard(across), heard(within)])
    let ended = 0
    across.on('close', () => ended++)
    within.on('close', () => (ended += 10))
    made.partition(groups, reset)
    if (reset) await closes(across)
    expect(await reaches(made, PAIRS)).toEqual([false, false, false, true, true])
    expect(ended).toBe(reset ? 1 : 0)
    made.heal()
    expect(await reaches(made, PAIRS)).toEqual([true, true, true, true, true])
  }
})

test('a partition replaces the one before it', async () => {
  const made = await mesh()
  const open = () =>
    made.links().flatMap(({ from, to, state }) => (state === 'open' ? [`${from} ${to}`] : []))
  made.partition([['n1', 'n2'], ['n3']], true)
  expect(open()).toEqual(['n1 n2', 'n2 n1'])
  made.partition([['n1'], ['n2', 'n3']], false)
  expect(open()).toEqual(['n2 n3', 'n3 n2'])
  expect(await reaches(made, PAIRS)).toEqual([false, false, false, true, true])
})

test('a link that is cut stops one direction, and leaves all others as they are', async () => {
  const made = await mesh()
  made.cut('n1', 'n2')
  expect(await reaches(made, PAIRS)).toEqual([false, true, true, true, true])
  made.cut('n3', 'n1')
  expect(await reaches(made, PAIRS)).toEqual([false, true, false, true, true])
  const cut = made.links().filter(({ state }) => state !== 'open')
  expect(cut).toEqual([
    { from: 'n1', to: 'n2', state: 'cut' },
    { from: 'n3', to: 'n1', state: 'cut' },
  ])
  made.join('n1', 'n2')
  expect(await reaches(made, PAIRS)).toEqual([true, true, false, true, true])
  made.heal()
  expect(await reaches(made, PAIRS)).toEqual([true, true, true, true, true])
  expect(made.links().every(({ state }) => state === 'open')).toBe(true)
})

test('a mesh that is closed gives its ports back', async () => {
  const made = await mesh()
  const socket = dial(made, 'n1', 'n2')
  await heard(socket)
  const closed = closes(socket)
  await made.close()
  await closed
  const gone = dial(made, 'n1', 'n2')
  await closes(gone)
  expect(gone.bytesRead).toBe(0)
})
