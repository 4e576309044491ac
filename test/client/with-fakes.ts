// Clients of scripted nodes. All of them are closed after each test.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { onTestFinished, vi } from 'vitest'
import { Client, type ClientOptions, QuorateError } from '../../src/client/index.ts'
import { type Fault, problem, RelayedNode } from './relayed-node.ts'

/** Closes it at the end of the test: the newest first, so clients before their nodes. */
function closeAtEnd(resource: { close(): Promise<unknown> }): void {
  onTestFinished(async () => {
    vi.useRealTimers()
    await resource.close()
  })
}

/**
 * Until the end of the test, time passes only when the test advances it. So no client asks a second node because the
 * machine is busy. Nor does a client end a pause, so no endpoint may fail when there is no other.
 */
export function freezeTime(): void {
  vi.useRealTimers()
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
}

/** Lets the frozen time pass in small steps, with turns of the event loop between them. */
export async function passing(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    await vi.advanceTimersByTimeAsync(50)
    await nextTurn()
  }
}

const WAIT_MAX_NS = 20_000_000_000n

/**
 * Waits for what arrives over sockets. Frozen time stands still. The limit only ends a test that has
 * failed.
 */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = process.hrtime.bigint() + WAIT_MAX_NS
  while (!condition()) {
    if (process.hrtime.bigint() > deadline) throw new Error(`never seen: ${condition}`)
    await nextTurn()
  }
}

/**
 * So much of the frozen time passes for one of the calls, which waits for a node; the others have ended before. `asked`
 * tells that this node has the request.
 */
export async function passes(
  ms: number,
  asked: () => boolean,
  calls: readonly Promise<unknown>[],
): Promise<void> {
  let ended = 0
  const note = () => void ended++
  for (const call of calls) void call.then(note, note)
  await until(() => asked() && ended === calls.length - 1)
  await vi.advanceTimersByTimeAsync(ms)
}

export async function fake(name = 'n1', port = 0): Promise<RelayedNode> {
  const node = await RelayedNode.start({ name, port })
  closeAtEnd(node)
  return node
}

/** Another node of its cluster. */
export async function fakePeer(peer: RelayedNode, name: string): Promise<RelayedNode> {
  const node = await RelayedNode.start({ name, peer })
  closeAtEnd(node)
  return node
}

/** Listens, and answers every request with these bytes. Without `staysOpen` it closes the connection after them. */
export async function answering(
  text: string,
  { staysOpen = false } = {},
): Promise<{ url: string; connections: () => number; send: (more: string) => void }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', () => (staysOpen ? socket.write(text) : socket.end(text)))
  })
  closeAtEnd({
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound to a port')
  const send = (more: string) => {
    for (const socket of sockets) socket.write(more)
  }
  return { url: `http://127.0.0.1:${address.port}`, connections: () => sockets.size, send }
}

/** Listens, and greets each connection with these bytes. */
export async function greeting(text: string): Promise<string> {
  const server = createServer((socket) =>
    socket
      .on('error', () => {})
      .resume()
      .write(text, 'latin1'),
  )
  closeAtEnd({ close: () => new Promise((resolve) => server.close(resolve)) })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not bound to a port')
  return `http://127.0.0.1:${address.port}`
}

export function clientOf(
  nodes: readonly (RelayedNode | string)[],
  options: Partial<ClientOptions> = {},
): Client {
  const endpoints = nodes.map((node) => (typeof node === 'string' ? node : node.url))
  const client = new Client({ endpoints, discover: false, transport: 'http', ...options })
  closeAtEnd(client)
  return client
}

/** However busy the machine is, and whatever timeout the client has. */
export const WARM_UP_MS = 30_000

/** Makes calls until the client has a multiplexed connection to each node. What the nodes saw is forgotten. */
export async function connected(client: Client, nodes: readonly RelayedNode[]): Promise<void> {
  while (!nodes.every(({ lines }) => lines !== undefined && lines.items.length > 0)) {
    // Reads of one node go round all nodes.
    await client.get('warm-up', { consistency: 'stale', timeoutMs: WARM_UP_MS })
    await nextTurn()
  }
  for (const { seen, lines } of nodes) {
    seen.length = 0
    if (lines !== undefined) lines.items.length = 0
  }
}

/** An address that refuses connections: until the end of the test a connection has its port, and nobody can listen. */
export async function refusing(): Promise<string> {
  const { url } = await answering('')
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  closeAtEnd({ close: async () => socket.destroy() })
  await once(socket, 'connect')
  return `http://127.0.0.1:${socket.localPort}`
}

/** An address that refuses connections, at which a node may be started. Another process may take it first. */
export async function unused(): Promise<string> {
  const node = await RelayedNode.start()
  const { url } = node
  await node.close()
  return url
}

export async function failure(promise: Promise<unknown>): Promise<QuorateError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof QuorateError) return error
  throw new Error('it did not fail as expected', { cause: error })
}

export const noLeader: Fault = problem(503, 'no_leader', 'an election is under way', { retry_after_ms: 1 })
export const noQuorum: Fault = problem(503, 'no_quorum', 'one of three voters', { retry_after_ms: 1 })
/** The Retry-After is longer than its time, so the client gives up at once. */
export const noQuorumForLong: Fault = problem(503, 'no_quorum', 'one of three voters', {
  retry_after_ms: 3_600_000,
})
export const unknown = problem(504, 'outcome_unknown', 'the leader was lost')
