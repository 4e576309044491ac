import { connect } from 'node:net'
import { expect, test, vi } from 'vitest'
import type { Relay } from '../../../../src/local/relays/relay.ts'
import { stampFrame } from '../../../../src/raft/entry.ts'
import { asIndex, asReplicaId, asTerm, type Message } from '../../../../src/raft/types.ts'
import { CODE, readFrame } from '../../../../src/server/peers/tcp/link-codec.ts'
import { entryOf, sealedFrame } from './messages.ts'
import {
  atEnd,
  atRest,
  bareListener,
  greetingOf,
  introduce,
  pair,
  portOf,
  RawPeer,
  relayTo,
  type TestNode,
  type TestNodeOptions,
  testNode,
} from './test-nodes.ts'

const heartbeat = (from: TestNode, to: TestNode, round: number): Message => ({
  type: 'heartbeat',
  from: from.member.id,
  to: to.member.id,
  term: asTerm(3),
  commit: asIndex(0),
  round,
  confirmed: undefined,
  appliedByMajority: asIndex(0),
})

const forward = (from: TestNode, to: TestNode, frame: Uint8Array): Message => ({
  type: 'forward',
  from: from.member.id,
  to: to.member.id,
  term: asTerm(3),
  boot: 1,
  proposals: [{ seq: 1, frame }],
})

const rounds = (count: number): number[] => Array.from({ length: count }, (_, round) => round)

/** Asserts that a link in both directions works. */
async function expectTalk(a: TestNode, b: TestNode, round: number): Promise<void> {
  a.network.send(heartbeat(a, b, round))
  b.network.send(heartbeat(b, a, round))
  await b.next('message', ({ message }) => message.type === 'heartbeat' && message.round === round)
  await a.next('message', ({ message }) => message.type === 'heartbeat' && message.round === round)
}

const dialled = (relay: Relay): string => `127.0.0.1:${relay.address.port}`

/** Node 1, and a bare replica 2, connected both ways. */
async function partyAndBare(
  options: TestNodeOptions = {},
): Promise<{ a: TestNode; called: RawPeer; caller: RawPeer }> {
  const a = await testNode(options)
  const bare = await bareListener()
  const greeting = greetingOf({ peer: bare.address })
  a.network.setPeers([{ id: asReplicaId('2'), name: 'n2', peer: bare.address, url: '' }])
  const called = await bare.accepted()
  expect((await called.next())?.type).toBe(CODE.hello)
  called.say({ type: 'welcome', incarnation: 99n, greeting })
  const caller = await RawPeer.to(a.address)
  caller.hello({ greeting })
  await a.next('connected')
  return { a, called, caller }
}

/** The next frame that is not a ping. */
async function nextSaid(peer: RawPeer): ReturnType<RawPeer['next']> {
  const frame = await peer.next()
  return frame?.type === CODE.ping ? nextSaid(peer) : frame
}

test('long entries arrive whole, and forwarded frames in memory that can be stamped', async () => {
  const [a, b] = await pair()
  const entries = [entryOf(900_000, 3, 5), entryOf(10, 3, 6), entryOf(20_000, 3, 7)]
  const proposals = [1, 2].map((seq) => ({ seq, frame: sealedFrame(20_000, seq) }))
  const between = { from: a.member.id, to: b.member.id, term: asTerm(3) }
  a.network.send({
    ...between,
    type: 'append',
    prevIndex: asIndex(4),
    prevTerm: asTerm(3),
    entries,
    commit: asIndex(4),
    round: 1,
  })
  a.network.send({ ...between, type: 'forward', boot: 1, proposals })
  // If this node becomes leader, it stamps the same frames while they may still be queued for the socket.
  for (const { frame } of proposals) stampFrame(frame, asTerm(4), asIndex(9), 1)
  const append = (await b.next('message')).message
  if (append.type !== 'append') throw new Error(append.type)
  expect(
    append.entries.map(({ frame }) => Buffer.compare(frame, entries.shift()?.frame ?? Buffer.alloc(0))),
  ).toEqual([0, 0, 0])
  const forward = (await b.next('message')).message
  if (forward.type !== 'forward') throw new Error(forward.type)
  forward.proposals[0]?.frame.fill(7)
  expect(Buffer.compare(forward.proposals[1]?.frame ?? Buffer.alloc(0), sealedFrame(20_000, 2))).toBe(0)
})

test('what was sent is not counted as waiting any more, however often', async () => {
  const limits = { queueBytesMax: 1 << 20, queueMessagesMax: 100 }
  const [a, b] = await pair({ limits }, { limits })
  for (const time of rounds(5)) {
    for (const round of rounds(90)) a.network.send(heartbeat(a, b, 90 * time + round))
    await b.next('message', ({ message }) => message.type === 'heartbeat' && message.round === 90 * time + 89)
    await atRest(a, b)
  }
  expect(a.network.counters).toMatchObject({ messagesSent: 450, messagesDropped: 0 })
})

test('five nodes that call each other at once connect once each, and nothing breaks', async () => {
  const nodes = await Promise.all(rounds(5).map((number) => testNode({ id: number + 1 })))
  introduce(...nodes)
  for (const each of nodes) for (const _ of rounds(4)) await each.next('connected')
  for (const [number, each] of nodes.entries()) {
    const next = nodes[(number + 1) % 5]
    if (next !== undefined) await expectTalk(each, next, number)
  }
  for (const each of nodes) expect([each.seen('connected'), each.seen('disconnected')]).toEqual([4, 0])
})

test('a link that swallows everything breaks by silence, is not called refused, and works again when healed', async () => {
  // On a busy machine a live link may be silent for tens of milliseconds.
  const limits = { silenceMs: 400 }
  const [b, c] = [await testNode({ id: 2, limits }), await testNode({ id: 3, limits })]
  const ways = [await relayTo(() => b.address), await relayTo(() => a.address)]
  const [toB, toA] = ways
  const resolve = (member: { id: string }) => {
    const way = member.id === '2' ? toB : toA
    return way === undefined || member.id === '3' ? c.address : dialled(way)
  }
  const a: TestNode = await testNode({ id: 1, limits, resolvePeer: resolve })
  b.network.setPeers([])
  introduce(a, b, c)
  await a.next('connected')
  await a.next('connected')
  for (const way of ways) way.setMode('blackhole')
  await a.next('disconnected', ({ what }) => what === '2')
  // Another peer's refusal arrives, so the time for a refusal of this peer has passed too.
  c.network.close()
  await a.next('unreachable', ({ what }) => what === '3')
  for (const way of ways) way.setMode('pass')
  await a.next('connected', ({ greeting }) => greeting.replicaId === '2')
  await expectTalk(a, b, 1)
  a.network.setPeers([a.member, b.member])
  await atRest(a)
  expect(a.events.filter((event) => event.kind === 'unreachable' && event.what === '2')).toEqual([])
})

test('a stalled reader bounds what waits for it; the rest is dropped, and what waited arrives in order', async () => {
  const { a, called } = await partyAndBare({ limits: { queueBytesMax: 1 << 20 } })
  called.socket.pause()
  const b = await testNode({ id: 2 })
  let sent = 0
  while (a.network.counters.messagesDropped === 0) {
    a.network.send({
      type: 'append',
      from: a.member.id,
      to: b.member.id,
      term: asTerm(3),
      prevIndex: asIndex(sent),
      prevTerm: asTerm(3),
      entries: [entryOf(60_000, 3, sent + 1)],
      commit: asIndex(0),
      round: 1,
    })
    sent++
    if (sent % 8 === 0) await new Promise(setImmediate)
    if (sent > 5000) throw new Error('no bound')
  }
  called.socket.resume()
  for (let index = 0; index < sent - 1; index++) {
    const frame = await nextSaid(called)
    expect(frame?.type).toBe(1)
    frame?.body.uint64()
    expect(frame?.body.uint64()).toBe(index)
  }
  // The link continues, with nothing left in its queue.
  await atRest(a)
  a.network.send(heartbeat(a, b, 7))
  expect((await nextSaid(called))?.type).toBe(4)
})

test('a peer that reads slowly and says so is not given up, and all that is queued for it arrives', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  try {
    const { a, called, caller } = await partyAndBare({ limits: { silenceMs: 3000 } })
    const b = await testNode({ id: 2 })
    expect((await caller.next())?.type).toBe(CODE.welcome)
    called.socket.pause()
    const queued = (): number => a.network.inspect()['queuedBytes of 2'] ?? 0
    const frame = sealedFrame(12_000)
    const sent: Message[] = []
    /** Fills the queue with more than the kernel takes at once, so that the ping waits behind it. */
    const fill = async (): Promise<void> => {
      while (queued() < 8 << 20) {
        for (const message of [heartbeat(a, b, sent.length), forward(a, b, frame)]) {
          a.network.send(message)
          sent.push(message)
        }
        if (sent.length % 50 === 0) await new Promise(setImmediate)
      }
    }
    /** Time passes in which the other side checks once for received bytes, and in which it pings. */
    const ticks = async (): Promise<void> => {
      vi.advanceTimersByTime(1000)
      caller.send(CODE.ping)
      expect((await caller.next())?.type).toBe(CODE.pong)
    }
    for (let tick = 0; tick < 6; tick++) {
      await fill()
      const before = queued()
      called.socket.resume()
      while (queued() === before) await new Promise(setImmediate)
      called.socket.pause()
      called.send(CODE.pong)
      await ticks()
    }
    expect(a.seen('disconnected')).toBe(0)
    called.socket.resume()
    for (const { type } of sent) {
      const said = await nextSaid(called)
      if (said === undefined) throw new Error('the connection was closed')
      expect(readFrame(said.type, said.body, { from: a.member.id, to: b.member.id }).type).toBe(type)
    }
    await atRest(a)
  } finally {
    vi.useRealTimers()
  }
})

test('a peer that is reached slowly is not taken for one that is silent, however much is on its way', async () => {
  const b = await testNode({ id: 2 })
  const bare = await bareListener()
  const a = await testNode({ id: 1, resolvePeer: () => bare.address })
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  try {
    b.network.setPeers([a.member])
    a.network.setPeers([b.member])
    // The relay reads all bytes from a at once, and forwards them as `pass` allows.
    const { socket: fromA } = await bare.accepted()
    const toB = connect(portOf(b.address), '127.0.0.1')
    atEnd(() => toB.destroy())
    toB.pipe(fromA)
    toB.on('error', () => {})
    let waiting = Buffer.alloc(0)
    let pass = Number.POSITIVE_INFINITY
    const handOn = (): void => {
      toB.write(waiting.subarray(0, pass))
      waiting = waiting.subarray(Math.min(pass, waiting.length))
    }
    fromA.on('data', (chunk) => {
      waiting = Buffer.concat([waiting, chunk])
      if (pass === Number.POSITIVE_INFINITY) handOn()
    })
    await Promise.all([a.next('connected'), b.next('connected')])
    pass = 64 * 1024
    const long = forward(a, b, sealedFrame(1 << 20))
    a.network.send(long)
    while (waiting.length < 1 << 20) await new Promise(setImmediate)
    for (let tick = 0; tick < 16; tick++) {
      const { bytesReceived } = b.network.counters
      handOn()
      while (b.network.counters.bytesReceived < bytesReceived + pass) await new Promise(setImmediate)
      vi.advanceTimersByTime(1000)
      const { length } = a.events
      b.network.send(heartbeat(b, a, tick))
      while (a.events.length === length) await new Promise(setImmediate)
      expect([a.seen('disconnected'), b.seen('disconnected')]).toEqual([0, 0])
    }
    pass = Number.POSITIVE_INFINITY
    handOn()
    expect((await b.next('message')).message.type).toBe('forward')
    // The relay forwards nothing more, which is silence for the other side.
    pass = 0
    for (let tick = 0; tick < 5; tick++) {
      vi.advanceTimersByTime(1000)
      await new Promise(setImmediate)
    }
    await a.next('disconnected')
  } finally {
    vi.useRealTimers()
  }
})

test('a message that alone is larger than the queue is sent when nothing else waits', async () => {
  const [a, b] = await pair({ limits: { queueBytesMax: 1000 } })
  for (let round = 0; round < 3; round++) {
    a.network.send(forward(a, b, sealedFrame(5000)))
    a.network.send(forward(a, b, sealedFrame(5000)))
    expect((await b.next('message')).message.type).toBe('forward')
    await atRest(a)
  }
  expect(a.network.counters).toMatchObject({ messagesSent: 3, messagesDropped: 3 })
})

test('a peer that says nothing, not even to a ping, is given up', async () => {
  const { a, called, caller } = await partyAndBare({ limits: { silenceMs: 60 } })
  await a.next('disconnected')
  await Promise.all([called.closed(), caller.closed()])
})

test('a caller that died without a word is given up, too, while it waits to be called back, or for the node to open', async () => {
  const limits = { silenceMs: 60, reconnectMaxMs: 10 }
  const gone = await bareListener()
  gone.server.close()
  const a = await testNode({ limits })
  a.network.setPeers([])
  const caller = await RawPeer.to(a.address)
  caller.hello({ greeting: greetingOf({ peer: gone.address }) })
  expect((await caller.next())?.type).toBe(CODE.welcome)
  await caller.closed()
  const early = await RawPeer.to((await testNode({ id: 3, limits })).address)
  await early.closed()
})

test('a listener that cannot have its port says so', async () => {
  const a = await testNode()
  await expect(testNode({ id: 2, port: portOf(a.address) })).rejects.toThrow(/EADDRINUSE/)
})

test('a closed network says nothing more and gives its port back', async () => {
  const [a, b] = await pair()
  a.network.close()
  a.network.send(heartbeat(a, b, 1))
  await b.next('unreachable')
  await a.closed
  expect(a.events.map(({ kind }) => kind)).toEqual(['connected'])
  await testNode({ id: 3, port: portOf(a.member.peer) })
})
