// The handshake over sockets: callers that violate the protocol, and addresses. ../handshake.test.ts has its rules.

import dns, { type LookupAddress } from 'node:dns'
import { expect, onTestFinished, test, vi } from 'vitest'
import { asReplicaId, asTerm } from '../../../../src/raft/types.ts'
import { LINK_LIMITS, newCounters } from '../../../../src/server/peers/index.ts'
import { noOwner } from '../../../../src/server/peers/tcp/connection.ts'
import { CODE } from '../../../../src/server/peers/tcp/link-codec.ts'
import { TcpWires } from '../../../../src/server/peers/tcp/wires.ts'
import type { Welcome, Wire } from '../../../../src/server/peers/wires.ts'
import {
  bareListener,
  frame,
  greetingOf,
  heard,
  helloFrame,
  portOf,
  RawPeer,
  silent,
  type TestNode,
  testNode,
} from './test-nodes.ts'

/** A node that has no peers and accepts callers. */
async function alone(options: Parameters<typeof testNode>[0] = {}): Promise<TestNode> {
  const made = await testNode(options)
  made.network.setPeers([])
  return made
}

async function call(
  to: TestNode,
  hello: Parameters<RawPeer['hello']>[0] = { greeting: greetingOf() },
): Promise<RawPeer> {
  const caller = await RawPeer.to(to.address)
  caller.hello(hello)
  return caller
}

async function welcomed(caller: RawPeer): Promise<Welcome> {
  const answer = await caller.next()
  const read = answer && heard(answer)
  if (read?.type !== 'welcome') throw new Error(`not welcome but ${answer?.type}`)
  return read
}

test('a hello that arrives byte by byte is understood', async () => {
  const a = await alone()
  const caller = await RawPeer.to(a.address)
  caller.socket.setNoDelay(true)
  for (const byte of helloFrame({ greeting: greetingOf() })) {
    await new Promise<void>((resolve) => {
      caller.socket.write(Buffer.of(byte), () => resolve())
    })
  }
  await welcomed(caller)
})

test.each([
  ['garbage', Buffer.from('GET / HTTP/1.1\r\nHost: n1\r\n\r\n')],
  ['zeros', Buffer.alloc(4096)],
  ['a huge length', Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
  ['a hello with a flipped bit', flipped(helloFrame({ greeting: greetingOf() }), 30)],
  ['a message before the handshake', frame(4, (out) => out.uint64(1))],
  ['a hello that is too long', helloFrame({ greeting: greetingOf({ name: 'x'.repeat(5000) }) })],
])('%s ends the connection and nothing else', async (_, bytes) => {
  const a = await alone()
  const caller = await RawPeer.to(a.address)
  caller.socket.write(bytes)
  await caller.closed()
  await welcomed(await call(a))
  expect(a.events).toEqual([])
})

function flipped(bytes: Buffer, at: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at)
  return bytes
}

test.each([
  ['a corrupt frame', Buffer.from([0, 0, 0, 5, 1, 2, 3, 4, 0, 0, 0, 0, 4]), false],
  ['a message that does not decode', frame(4, (out) => out.uint8(1)), false],
  ['an unknown type', frame(200), true],
  ['a second hello', helloFrame({ greeting: greetingOf(), attempt: 2 }), true],
  ['an offer that is no offer', frame(CODE['snapshot-offer'], (out) => out.utf8('junk')), false],
])('a peer that sends %s is cut off, and may come back', async (_, bytes, isTold) => {
  const bare = await bareListener()
  const a = await alone()
  const greeting = greetingOf({ peer: bare.address })
  const caller = await call(a, { greeting })
  await welcomed(caller)
  const called = await bare.accepted()
  await called.next()
  called.say({ type: 'welcome', incarnation: 99n, greeting })
  await a.next('connected')
  caller.socket.write(bytes)
  if (isTold) expect((await caller.next())?.type).toBe(CODE.refusal)
  await caller.closed()
  await a.next('disconnected')
  await welcomed(await call(a, { greeting: { ...greeting, term: asTerm(3) }, attempt: 9 }))
})

test('an address that cannot be dialled harms nobody, whether a caller says it or the configuration', async () => {
  const [a, b] = [await testNode(), await testNode({ id: 2 })]
  // A socket refuses a null byte by throwing.
  const nowhere = ['h\u0000:1', 'h\n:1', 'h', 'h:65536', ':1', '', `${'x'.repeat(3000)}:1`]
  for (const peer of nowhere)
    a.network.setPeers([b.member, { id: asReplicaId('3'), name: 'n3', peer, url: '' }])
  for (const [at, peer] of nowhere.entries())
    await welcomed(await call(a, { greeting: greetingOf({ replicaId: asReplicaId(`${at + 4}`), peer }) }))
  b.network.setPeers([a.member])
  await a.next('connected', ({ greeting }) => greeting.replicaId === b.member.id)
})

test('a name whose lookup takes longer than an attempt is reached by the next one', async () => {
  const { address } = await bareListener()
  const asked: ((error: null, found: LookupAddress[]) => void)[] = []
  const slow = (_name: string, _options: unknown, done: (typeof asked)[0]) => asked.push(done)
  const spy = vi.spyOn(dns, 'lookup').mockImplementation(slow as unknown as typeof dns.lookup)
  onTestFinished(() => spy.mockRestore())
  const wires = new TcpWires({ limits: LINK_LIMITS, counters: newCounters(), logger: silent })
  const failed = (why: string): never => expect.fail(why)
  const early = () => expect.fail('it was given up')
  const giveUp = wires.dial(`slow.example:${portOf(address)}`, { connected: early, failed })
  giveUp()
  const wire = new Promise<Wire>((reached) => {
    const connected = (dialled: Wire) => {
      reached(dialled)
      return noOwner
    }
    wires.dial(`slow.example:${portOf(address)}`, { connected, failed })
  })
  expect(asked.length).toBe(1)
  asked[0]?.(null, [{ address: '127.0.0.1', family: 4 }])
  ;(await wire).close('it was reached')
})

test('why a name with several addresses cannot be reached is said', async () => {
  const gone = await bareListener()
  gone.server.close()
  const everywhere = (
    _name: string,
    _options: unknown,
    done: (error: null, found: LookupAddress[]) => void,
  ) =>
    done(null, [
      { address: '127.0.0.1', family: 4 },
      { address: '::1', family: 6 },
    ])
  const spy = vi.spyOn(dns, 'lookup').mockImplementation(everywhere as typeof dns.lookup)
  onTestFinished(() => spy.mockRestore())
  const wires = new TcpWires({ limits: LINK_LIMITS, counters: newCounters(), logger: silent })
  const port = portOf(gone.address)
  const why = await new Promise<string>((failed) => {
    wires.dial(`n2.example:${port}`, { connected: () => noOwner, failed })
  })
  expect(why).toMatch(new RegExp(`^connect E[A-Z]+ 127.0.0.1:${port}.*, connect E[A-Z]+ ::1:${port}`))
})
