// One link: the frames that each side may send, the retries, the reports of breaks, and the release of resources.

import { expect, test } from 'vitest'
import { asIndex, asReplicaId, asTerm, type Message, type ReplicaId } from '../../../src/raft/types.ts'
import type { Frame } from '../../../src/server/peers/wires.ts'
import { type Node, type Puppet, type Talk, World } from './world.ts'

interface Met {
  readonly world: World
  readonly node: Node
  readonly puppet: Puppet
  /** The connection that the node has dialled, as the puppet sees it. */
  readonly ours: Talk
  /** The connection that the puppet has dialled. */
  readonly theirs: Talk
}

/** A node and a puppet with a link between them. */
function met(limits: ConstructorParameters<typeof World>[0] = {}): Met {
  const world = new World(limits)
  const node = world.start(1)
  const puppet = world.puppet(2)
  node.links.setPeers([puppet.member])
  world.pass(10)
  const theirs = puppet.call(node, [puppet.hello()])
  world.pass(10)
  const [ours] = puppet.talks
  if (ours === undefined) throw new Error('it was not called')
  expect(node.events).toEqual([{ kind: 'connected', greeting: puppet.greeting }])
  expect([node.underWay, world.timers]).toEqual([{}, 0])
  return { world, node, puppet, ours, theirs }
}

const heartbeat = (to: ReplicaId, round = 1): Message & { readonly type: 'heartbeat' } => ({
  ...{ type: 'heartbeat', from: asReplicaId('1'), to, term: asTerm(1), commit: asIndex(0), round },
  ...{ confirmed: undefined, appliedByMajority: asIndex(0) },
})

const applied = { index: asIndex(4), term: asTerm(1), raft: new Uint8Array(), kv: new Uint8Array() }
const OFFER: Frame = {
  ...{ type: 'snapshot-offer', term: asTerm(1), snapshotId: 's' },
  meta: { index: asIndex(4), term: asTerm(1), stateHash: 1n, applied },
}
const OUT_OF_PLACE = (puppet: Puppet): Frame[] => [
  puppet.hello(),
  { type: 'foreign-hello', version: 1 },
  { type: 'welcome', greeting: puppet.greeting, incarnation: 1n },
  OFFER,
  { type: 'snapshot-accept', nextChunk: 0 },
  { type: 'snapshot-chunk', number: 0, bytes: new Uint8Array() },
  { type: 'snapshot-written', number: 0 },
  { type: 'snapshot-end', chunks: 0 },
  { type: 'snapshot-staged' },
  { type: 'unknown', code: 200 },
]

test('messages and hashes of a peer are handed on, and messages are counted', () => {
  const { world, node, puppet, ours, theirs } = met()
  const message = heartbeat(node.member.id)
  theirs.say(message, { type: 'state-hash', at: { index: asIndex(7), hash: 5n } })
  world.pass(5)
  expect(node.events.slice(1)).toEqual([
    { kind: 'message', message },
    { kind: 'hash', from: '2', hash: 5n },
  ])
  expect(node.links.counters).toMatchObject({ messagesReceived: 1, connectionsBroken: 0 })
  node.links.send(heartbeat(puppet.member.id, 1))
  node.links.sendStateHash({ index: asIndex(8), hash: 6n })
  node.links.send(heartbeat(puppet.member.id, 2))
  expect(node.links.inspect()).toMatchObject({ 'queuedFrames of 2': 3, 'queuedBytes of 2': 300 })
  node.links.send(heartbeat(asReplicaId('404')))
  world.pass(5)
  expect(ours.heard.slice(1)).toEqual([
    heartbeat(puppet.member.id, 1),
    { type: 'state-hash', at: { index: asIndex(8), hash: 6n } },
    heartbeat(puppet.member.id, 2),
  ])
  expect(node.links.counters).toMatchObject({ messagesSent: 2, messagesDropped: 1 })
  expect(node.underWay).toEqual({})
})

test('a message to a peer that cannot be reached is dropped and counted', () => {
  const world = new World()
  const node = world.start(1)
  node.links.setPeers([world.puppet(2).member])
  node.links.send(heartbeat(asReplicaId('2')))
  node.links.sendStateHash({ index: asIndex(8), hash: 6n })
  expect(node.links.counters).toMatchObject({ messagesSent: 0, messagesDropped: 1 })
})

test('a snapshot message is made where it is received, never sent', () => {
  const { node, puppet } = met()
  const meta = {
    index: asIndex(4),
    term: asTerm(1),
    state: { configuration: undefined as never, leaderLeases: undefined as never },
  }
  expect(() =>
    node.links.send({
      ...{
        type: 'snapshot',
        from: node.member.id,
        to: puppet.member.id,
        term: asTerm(1),
        snapshotId: 's',
        meta,
      },
      clusterTimeMs: 0,
    }),
  ).toThrow('never sent')
})

test('forwarded proposals are cut to less than half of what a frame holds, in order, unless one alone is longer', () => {
  const { world, node, puppet, ours } = met({ frameBytesMax: 100 })
  const forwarded = (...lengths: readonly number[]): number[][] => {
    const from = ours.heard.length
    const proposals = lengths.map((length, seq) => ({ seq, frame: new Uint8Array(length) }))
    const head = {
      type: 'forward',
      from: node.member.id,
      to: puppet.member.id,
      term: asTerm(1),
      boot: 1,
    } as const
    const sent = node.links.counters.messagesSent
    node.links.send({ ...head, proposals })
    world.pass(5)
    const messages = ours.heard.slice(from).flatMap((frame) => (frame.type === 'forward' ? [frame] : []))
    expect(messages.flatMap((message) => message.proposals)).toEqual(proposals)
    expect(node.links.counters.messagesSent - sent).toBe(messages.length)
    for (const { proposals: _, ...rest } of messages) expect(rest).toEqual(head)
    return messages.map((message) => message.proposals.map(({ frame }) => frame.length))
  }
  expect(forwarded(24, 25)).toEqual([[24, 25]])
  expect(forwarded(25, 25)).toEqual([[25], [25]])
  expect(forwarded(90)).toEqual([[90]])
  expect(forwarded(10, 20, 30, 40)).toEqual([[10, 20], [30], [40]])
  expect(forwarded(20, 20, 20)).toEqual([[20], [20, 20]])
})

test('what has no place on a connection that a peer sends on ends it, and the peer is told why', () => {
  for (const [at, frame] of [...OUT_OF_PLACE(new World().puppet(2)), undefined].entries()) {
    const { world, node, theirs } = met()
    const said = frame ?? ({ type: 'refusal', clusterId: '77', stop: true, sentence: 'go' } as const)
    theirs.say(said)
    world.pass(1)
    const name = said.type === 'unknown' ? said.code : said.type
    const sentence = `frames of type ${name} are unknown here`
    expect([at, node.events.slice(1)]).toEqual([at, [{ kind: 'disconnected', what: '2' }]])
    world.pass(3)
    expect(theirs.heard.slice(1)).toEqual([{ type: 'refusal', clusterId: '77', stop: false, sentence }])
    expect(theirs.ended).toBe('the other side closed it')
    expect(node.why('the connection to a peer broke')).toEqual([{ peer: 'n2', why: sentence }])
    expect(node.links.counters).toMatchObject({ messagesReceived: 0, connectionsBroken: 1 })
  }
})

test('on the connection that a node sends on it hears nothing but why that is ended', () => {
  const heard: [Frame, string][] = OUT_OF_PLACE(new World().puppet(2)).map((frame) => [
    frame,
    `a frame of type ${frame.type === 'unknown' ? frame.code : frame.type} on a connection that it does not send on`,
  ])
  for (const stop of [true, false])
    for (const clusterId of ['77', '78'])
      heard.push([{ type: 'refusal', clusterId, stop, sentence: 'enough' }, 'enough'])
  for (const [frame, why] of heard) {
    const { world, node, ours, theirs } = met()
    ours.say(frame)
    world.pass(1)
    const stops = frame.type === 'refusal' && frame.stop && frame.clusterId === '77'
    expect([frame, node.events.slice(1)]).toEqual([
      frame,
      [{ kind: 'disconnected', what: '2' }, ...(stops ? [{ kind: 'stop', what: 'enough' }] : [])],
    ])
    expect(node.why('the connection to a peer broke')).toEqual([{ peer: 'n2', why }])
    world.pass(2)
    // A reply to the peer's messages could not be sent, so the peer has to dial again.
    expect([ours.ended, theirs.ended]).toEqual(['the other side closed it', 'the other side closed it'])
  }
})

test('a break of either connection is told at once, with its reason, and the link stands again when both do', () => {
  for (const which of ['ours', 'theirs'] as const) {
    const { world, node, puppet, ...talks } = met()
    talks[which].wire?.close('no more')
    world.pass(10)
    expect(node.events.slice(1)).toEqual([{ kind: 'disconnected', what: '2' }])
    expect(node.why('the connection to a peer broke')).toEqual([
      { peer: 'n2', why: 'the other side closed it' },
    ])
    expect(node.links.counters.connectionsBroken).toBe(which === 'ours' ? 2 : 1)
    expect(node.links.inspect()).toMatchObject({ 'broken of 2': 1, 'grace of 2': 0, 'dialling of 2': 0 })
    puppet.call(node, [puppet.hello({ attempt: 2 })])
    world.pass(10)
    expect(node.events.slice(2)).toEqual([{ kind: 'connected', greeting: puppet.greeting }])
    expect(node.why('connected to a peer')).toEqual([
      { peer: 'n2', boot: 1 },
      { peer: 'n2', boot: 1 },
    ])
    expect(node.underWay).toEqual({})
  }
})

test('a peer that calls again is told of as it is now, and its first call is over', () => {
  const { world, node, puppet, ours, theirs } = met()
  puppet.greeting = { ...puppet.greeting, lastIndex: asIndex(9) }
  const again = puppet.call(node, [puppet.hello({ attempt: 2 })])
  world.pass(10)
  expect(node.events.slice(1)).toEqual([
    { kind: 'disconnected', what: '2' },
    { kind: 'connected', greeting: puppet.greeting },
  ])
  expect(node.why('the connection to a peer broke')).toEqual([
    { peer: 'n2', why: 'the peer has called again' },
  ])
  expect([theirs.ended, again.ended, ours.ended, puppet.talks.length]).toEqual([
    'the other side closed it',
    undefined,
    undefined,
    1,
  ])
  expect(node.underWay).toEqual({})
  // This connection ends together with ours.
  ours.wire?.close('no more')
  world.pass(3)
  expect(again.ended).toBe('the other side closed it')
})

test('a peer that calls as a new process is called anew', () => {
  const { world, node, puppet, ours } = met()
  puppet.greeting = { ...puppet.greeting, boot: 2 }
  puppet.incarnation++
  puppet.call(node, [puppet.hello()])
  world.pass(10)
  expect([ours.ended, puppet.talks.length]).toEqual(['the other side closed it', 2])
  expect(node.events.slice(1)).toEqual([
    { kind: 'disconnected', what: '2' },
    { kind: 'connected', greeting: puppet.greeting },
  ])
  expect(node.underWay).toEqual({})
})

test('what a peer sends waits until the link stands, and what a peer is while it is waited for is told', () => {
  const world = new World({ handshakeMs: 50 })
  const node = world.start(1)
  const puppet = world.puppet(2)
  const answer = puppet.hears
  puppet.hears = () => {}
  node.links.setPeers([puppet.member])
  expect(node.underWay).toEqual({ 'broken of 2': 1, 'dialling of 2': 1 })
  const message = { ...heartbeat(node.member.id), from: puppet.member.id }
  puppet.call(node, [puppet.hello(), message])
  world.pass(20)
  expect(node.underWay).toEqual({ 'broken of 2': 1, 'dialling of 2': 1, 'held of 2': 1 })
  expect(node.events).toEqual([])
  world.pass(33)
  expect(node.underWay).toEqual({ 'broken of 2': 1, 'retrying of 2': 1, 'held of 2': 1, 'failures of 2': 1 })
  puppet.hears = answer
  world.pass(20)
  expect(node.events).toEqual([
    { kind: 'connected', greeting: puppet.greeting },
    { kind: 'message', message },
  ])
  expect(node.underWay).toEqual({})
})

test.each([
  [0, [2.5, 5, 10, 20, 40, 80, 160, 250, 250]],
  [1, [5, 10, 20, 40, 80, 160, 320, 500, 500]],
])(
  'each pause before another try is twice the one before, up to a bound, less up to a half: %d',
  (drawn, pauses) => {
    const world = new World()
    world.random = () => drawn
    const node = world.start(1)
    node.links.setPeers([{ ...node.member, id: asReplicaId('2'), peer: 'nowhere', name: 'n2' }])
    const failed: number[] = []
    while (failed.length <= pauses.length) {
      world.pass(0.5)
      if (node.logged.length > failed.length) failed.push(world.now)
    }
    // A failure takes two milliseconds.
    expect(failed.slice(1).map((at, which) => at - (failed[which] ?? 0) - 2)).toEqual(pauses)
    expect(node.logged.at(-1)).toEqual([
      'could not reach a peer',
      { peer: 'n2', address: 'nowhere', why: 'nobody is there' },
    ])
  },
)

test('a peer is refused when a try has failed and the time is over, whichever comes last', () => {
  const slow = { reconnectMinMs: 10_000, reconnectMaxMs: 10_000, refusedAfterMs: 20, handshakeMs: 50 }
  const gone = met(slow)
  gone.ours.wire?.close('no more')
  gone.world.resolve = () => 'nowhere'
  gone.world.pass(20)
  expect(gone.node.underWay).toMatchObject({ 'grace of 2': 1, 'retrying of 2': 1 })
  expect(gone.node.of('unreachable')).toEqual([])
  gone.world.pass(1)
  expect(gone.node.of('unreachable')).toEqual([{ kind: 'unreachable', what: '2' }])
  expect(gone.node.why('a peer is gone: its connection broke and it cannot be reached')).toEqual([
    { peer: 'n2' },
  ])
  expect(gone.node.links.inspect()).toMatchObject({ 'grace of 2': 0 })

  const mute = met(slow)
  mute.puppet.hears = () => {}
  mute.ours.wire?.close('no more')
  mute.world.pass(50)
  expect(mute.node.of('unreachable')).toEqual([])
  mute.world.pass(2)
  expect(mute.node.of('unreachable')).toEqual([{ kind: 'unreachable', what: '2' }])
})

test.each<[string, (node: Node) => void]>([
  ['its peer was removed', (node) => node.links.setPeers([])],
  ['the node was closed', (node) => node.links.close()],
])('a break that would be reported later is not reported when %s', (_, ends) => {
  const { world, node, ours } = met({ reconnectMinMs: 10_000, reconnectMaxMs: 10_000, refusedAfterMs: 20 })
  ours.wire?.close('no more')
  world.resolve = () => 'nowhere'
  world.pass(15)
  expect(node.underWay).toMatchObject({ 'grace of 2': 1, 'retrying of 2': 1 })
  ends(node)
  world.pass(10_000)
  expect(node.of('unreachable')).toEqual([])
  expect([world.timers, node.why('a peer is gone: its connection broke and it cannot be reached')]).toEqual([
    0,
    [],
  ])
})

test('a peer is looked for where the configuration says and, when it says otherwise itself, there in turn', () => {
  const world = new World()
  world.resolve = ({ peer }) => `to ${peer}`
  const node = world.start(1)
  const puppet = world.puppet(2)
  node.links.setPeers([puppet.member])
  const looked = (): string[] => {
    world.pass(300)
    return node
      .why('could not reach a peer')

      .map((fields) => `${Object.values(fields)[1]}`)
  }
  expect(new Set(looked())).toEqual(new Set(['to n2']))
  node.logged.splice(0)
  puppet.call(node, [puppet.hello({ greeting: { ...puppet.greeting, peer: 'n2' } })])
  expect(new Set(looked())).toEqual(new Set(['to n2']))
  node.logged.splice(0)
  puppet.call(node, [puppet.hello({ attempt: 2, greeting: { ...puppet.greeting, peer: 'n9' } })])
  world.pass(20)
  const both = looked()
  expect(new Set(both)).toEqual(new Set(['to n2', 'to n9']))
  for (const [at, address] of both.entries()) expect(address).not.toBe(both[at + 1])
})

test('a peer that moves while it is called is called where it is now, once', () => {
  const world = new World()
  const node = world.start(1)
  const [old, now] = [world.puppet(2), world.puppet(3)]
  old.hears = () => {}
  node.links.setPeers([old.member])
  world.pass(10)
  now.greeting = { ...old.greeting, peer: 'n3' }
  node.links.setPeers([{ ...old.member, peer: 'n3' }])
  world.pass(10)
  expect([old.talks.map(({ ended }) => ended), now.talks.map(({ ended }) => ended)]).toEqual([
    ['the other side closed it'],
    [undefined],
  ])
  expect(node.underWay).toEqual({ 'broken of 2': 1 })
})

test('who called without being named is kept for as long as its connection stands; once it is named, longer', () => {
  for (const isNamed of [false, true]) {
    const world = new World()
    const node = world.start(1)
    node.links.setPeers([])
    const puppet = world.puppet(2)
    const theirs = puppet.call(node, [puppet.hello()])
    world.pass(10)
    expect(node.of('connected')).toHaveLength(1)
    // No count of the peer is left.
    expect(Object.keys(node.links.inspect()).filter((name) => name.endsWith('of 2'))).toEqual([])
    node.links.setPeers([])
    world.pass(10)
    expect(theirs.ended).toBeUndefined()
    if (isNamed) node.links.setPeers([puppet.member])
    theirs.wire?.close('no more')
    puppet.talks[0]?.wire?.close('no more')
    world.pass(1000)
    expect(puppet.talks).toHaveLength(isNamed ? 2 : 1)
    expect(Object.keys(node.links.inspect()).some((name) => name.endsWith('of 2'))).toBe(isNamed)
  }
})

test('a peer that is removed gets what is queued, and is heard no more', () => {
  const { world, node, puppet, ours, theirs } = met()
  const message = { ...heartbeat(node.member.id), from: puppet.member.id }
  node.links.send(heartbeat(puppet.member.id))
  node.links.setPeers([])
  theirs.say(message)
  world.pass(1)
  expect([ours.heard.at(-1)?.type, theirs.ended]).toEqual(['heartbeat', undefined])
  world.pass(1000)
  expect([ours.ended, theirs.ended]).toEqual(['the other side closed it', 'the other side closed it'])
  expect([node.events.length, puppet.talks.length]).toEqual([1, 1])
  expect(Object.keys(node.links.inspect()).filter((name) => name.endsWith('of 2'))).toEqual([])
  node.links.send(heartbeat(puppet.member.id))
  expect(node.links.counters).toMatchObject({ messagesSent: 1, messagesDropped: 1, messagesReceived: 0 })
})

test('a peer that is removed while it waits to be called back is hung up on', () => {
  const world = new World()
  const node = world.start(1)
  const puppet = world.puppet(2)
  puppet.hears = () => {}
  node.links.setPeers([puppet.member])
  const theirs = puppet.call(node, [puppet.hello()])
  world.pass(10)
  node.links.setPeers([])
  world.pass(10)
  expect([theirs.ended, puppet.talks[0]?.ended]).toEqual([
    'the other side closed it',
    'the other side closed it',
  ])
})
