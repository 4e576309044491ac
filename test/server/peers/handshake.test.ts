// The rules of the handshake, one by one, with a puppet at the other end: which callers a node admits, and which
// replies it accepts.

import { describe, expect, test } from 'vitest'
import { asReplicaId } from '../../../src/raft/types.ts'
import type { Greeting } from '../../../src/server/node/network.ts'
import { PROTOCOL_VERSION } from '../../../src/server/peers/accept.ts'
import type { Frame, Hello } from '../../../src/server/peers/wires.ts'
import { type Node, type Puppet, type Talk, World } from './world.ts'

/** Longer than any step here takes, and shorter than the time limit of a handshake. */
const SOON_MS = 100

/** A node that accepts callers and has no peers. */
function alone(limits: ConstructorParameters<typeof World>[0] = {}) {
  const world = new World(limits)
  const node = world.start(1, 3)
  node.links.setPeers([])
  return { world, node, puppet: world.puppet(2) }
}

/** A node that calls a puppet, which reacts as `hears` defines. */
function calling(hears?: Puppet['hears'], limits: ConstructorParameters<typeof World>[0] = {}) {
  const world = new World(limits)
  const node = world.start(1, 3)
  const puppet = world.puppet(2)
  if (hears !== undefined) puppet.hears = hears
  node.links.setPeers([puppet.member])
  return { world, node, puppet }
}

const refused = (sentence: string | RegExp, stop = false): Frame[] => [
  {
    ...{ type: 'refusal', clusterId: '77', stop },
    sentence: typeof sentence === 'string' ? sentence : expect.stringMatching(sentence),
  },
]

const whyEnded = (node: Node): unknown[] =>
  node.why('a connection ended before its handshake was done').map((fields) => Object.values(fields).at(-1))
const whyUnreached = (node: Node): unknown[] =>
  node.why('could not reach a peer').map((fields) => Object.values(fields).at(-1))

describe('the accepting side', () => {
  test('who is let in is told who is there, and counts as unidentified no longer', () => {
    const { world, node, puppet } = alone()
    const talk = puppet.call(node, [puppet.hello()])
    world.pass(SOON_MS)
    expect(talk.heard).toEqual([
      { type: 'welcome', greeting: node.greeting, incarnation: expect.any(BigInt) },
    ])
    world.pass(10_000)
    expect([talk.ended, node.links.inspect().unidentified, whyEnded(node)]).toEqual([undefined, 0, []])
  })

  const refusals: [string, Partial<Hello> & { readonly of?: Partial<Greeting> }, Frame[]][] = [
    ['of another cluster', { of: { clusterId: '78' } }, refused('this node belongs to cluster 77, not 78')],
    ['for another replica', { target: '5' }, refused('this is replica 1, not 5')],
    [
      'whose start counter is out of range',
      { of: { boot: 10_000_001 } },
      refused(/^replica 2 \(n2\) states 10000001 starts, and has never connected before/),
    ],
  ]
  test.each(refusals)('a caller %s is told why it is refused', (_, { of, ...change }, answer) => {
    const { world, node, puppet } = alone()
    puppet.greeting = { ...puppet.greeting, ...of }
    const talk = puppet.call(node, [puppet.hello(change)])
    world.pass(SOON_MS)
    expect(talk.heard).toEqual(answer)
    expect(talk.ended).toBe('the other side closed it')
    expect([node.events, node.links.inspect().unidentified]).toEqual([[], 0])
    // Its refused greeting is not remembered.
    const next = puppet.call(node, [
      { ...puppet.hello(), greeting: { ...puppet.greeting, boot: 1, clusterId: '77' } },
    ])
    world.pass(SOON_MS)
    expect(next.heard.map(({ type }) => type)).toEqual(['welcome'])
  })

  test('the longest jump of a start counter is accepted, from that of the last connection', () => {
    const { world, node, puppet } = alone({ bootJumpMax: 10 })
    for (const [boot, answer] of [
      [11, 'refusal'],
      [10, 'welcome'],
      [21, 'refusal'],
      [20, 'welcome'],
    ] as const) {
      puppet.incarnation++
      const talk = puppet.call(node, [puppet.hello({ greeting: { ...puppet.greeting, boot } })])
      world.pass(SOON_MS)
      expect([boot, ...talk.heard.map(({ type }) => type)]).toEqual([boot, answer])
      if (boot === 21)
        expect(talk.heard).toEqual(
          refused(/states 21 starts, 10 at its last connection: a jump of more than 10/),
        )
    }
  })

  test('of two processes of a replica the one that was started later is let in, and another one must stop', () => {
    const { world, node, puppet } = alone()
    const call = (boot: number, incarnation: bigint, attempt = 1): Frame[] => {
      const greeting = { ...puppet.greeting, boot }
      const { heard } = puppet.call(node, [puppet.hello({ greeting, incarnation, attempt })])
      world.pass(SOON_MS)
      return heard.filter(({ type }) => type === 'refusal')
    }
    expect(call(4, 40n)).toEqual([])
    expect(call(3, 30n)).toEqual(
      refused('a newer process of replica 2 (n2) has been started: 4 starts against 3', true),
    )
    expect(call(4, 41n)).toEqual(
      refused(
        'another process runs as replica 2 (n2) with the same start counter, 4: is its data directory a copy?',
        true,
      ),
    )
    expect(call(4, 40n, 2)).toEqual([])
    // A late call may carry outdated data.
    expect(call(4, 40n, 2)).toEqual(refused('a newer connection of the caller stands'))
    expect(call(4, 40n, 1)).toEqual(refused('a newer connection of the caller stands'))
    expect(call(5, 50n)).toEqual([])
    expect(call(4, 40n, 3)).toEqual(refused(/^a newer process/, true))
  })

  test('calls for messages and for snapshots are counted apart', () => {
    const { world, node, puppet } = alone()
    for (const [purpose, attempt, answer] of [
      ['messages', 5, 'welcome'],
      ['snapshot', 4, 'welcome'],
      ['snapshot', 4, 'refusal'],
      ['snapshot', 6, 'welcome'],
      ['messages', 6, 'welcome'],
    ] as const) {
      const talk = puppet.call(node, [puppet.hello({ purpose, attempt })])
      world.pass(SOON_MS)
      expect(talk.heard[0]?.type).toBe(answer)
    }
  })

  test('a node that reaches itself goes on; one that hears of a newer process of its own stops; an older one is told to', () => {
    const { world, node, puppet } = alone()
    const first = puppet.call(node, [puppet.hello()])
    world.pass(SOON_MS)
    const [welcome] = first.heard
    if (welcome?.type !== 'welcome') throw new Error('not welcome')
    const call = (boot: number, incarnation: bigint): Frame[] => {
      const greeting = { ...node.greeting, boot, peer: 'elsewhere' }
      const { heard } = puppet.call(node, [puppet.hello({ greeting, incarnation })])
      world.pass(SOON_MS)
      return heard
    }
    expect(call(3, welcome.incarnation)).toEqual(refused('the caller has reached itself'))
    expect(call(2, 1n)).toEqual(
      refused('a newer process of replica 1 (n1) has been started: 3 starts against 2', true),
    )
    expect(node.of('stop')).toEqual([])
    expect(call(4, 1n)).toEqual(refused('the caller has reached an older process of its own replica'))
    expect(node.of('stop')).toEqual([
      {
        kind: 'stop',
        what: 'a newer process of this replica has been started (elsewhere): this one is superseded',
      },
    ])
  })

  test('whom the node does not admit is told so in its words, and nothing of it is remembered', () => {
    const { world, node, puppet } = alone()
    node.admit = ({ name }) => ({ refuse: `${name} was removed`, stop: true })
    const talk = puppet.call(node, [puppet.hello({ greeting: { ...puppet.greeting, boot: 9 } })])
    world.pass(SOON_MS)
    expect(talk.heard).toEqual(refused('n2 was removed', true))
    expect(node.why('refused a peer')).toEqual([{ why: 'n2 was removed' }])
    // An operator has removed it, and needs no warning.
    expect(node.warnings).toEqual([])
    node.admit = () => undefined
    // Another process, with fewer starts: the refused one, such as a copy of its directory, does not count.
    const other = puppet.call(node, [puppet.hello({ incarnation: puppet.incarnation + 1n })])
    world.pass(SOON_MS)
    expect(other.heard.map(({ type }) => type)).toEqual(['welcome'])
  })

  test('another version of the protocol is refused by name', () => {
    const { world, node, puppet } = alone()
    const self = `n1 speaks version ${PROTOCOL_VERSION} of the protocol between nodes`
    const newer = puppet.call(node, [{ type: 'foreign-hello', version: 9, name: 'n2' }])
    const older = puppet.call(node, [{ type: 'foreign-hello', version: 1 }])
    world.pass(SOON_MS)
    expect(newer.heard).toEqual(
      refused(
        `${self}, and n2 version 9: start n1 with the version of quorate that n2 runs, as the guide to upgrades says`,
      ),
    )
    expect(older.heard).toEqual(
      refused(
        `${self}, and the node at n2 called version 1: start the node at n2 called with the version of quorate that n1 runs, as the guide to upgrades says`,
      ),
    )
    expect([newer.ended, older.ended]).toEqual(['the other side closed it', 'the other side closed it'])
    // The operator of this node reads the same.
    expect(node.warnings).toHaveLength(2)
  })

  test('each refusal is logged once in ten minutes, also where callers are refused for two reasons in turn', () => {
    const { world, node, puppet } = alone()
    const call = (target: string): void => {
      puppet.call(node, [puppet.hello({ target })])
      world.pass(SOON_MS)
    }
    for (const target of ['5', '6', '5', '6']) call(target)
    const logged = (...target: string[]) => target.map((id) => ({ why: `this is replica 1, not ${id}` }))
    expect(node.why('refused a peer')).toEqual(logged('5', '6'))
    for (let times = 0; times < 2; times++) {
      world.pass(600_000)
      for (const target of ['6', '5', '6']) call(target)
    }
    expect(node.why('refused a peer')).toEqual(logged('5', '6', '6', '5', '6', '5'))
  })

  test.each<[Frame, string]>([
    [{ type: 'snapshot-staged' }, 'a frame of type snapshot-staged before the handshake'],
    [{ type: 'unknown', code: 200 }, 'a frame of type 200 before the handshake'],
  ])('who begins with %j is cut off without a word', (first, why) => {
    const { world, node, puppet } = alone()
    const talk = puppet.call(node, [first])
    world.pass(SOON_MS)
    expect([talk.heard, talk.ended, node.links.inspect().unidentified]).toEqual([
      [],
      'the other side closed it',
      0,
    ])
    // The wire's owner is notified of its end; the reason names the caller as far as it is known.
    expect(node.why('a connection ended before its handshake was done')).toEqual([{ from: 'n2 called', why }])
  })

  test('who says nothing is given up in time, also one that called before the node was ready', () => {
    const world = new World({ handshakeMs: 50 })
    const node = world.start(1)
    const puppet = world.puppet(2)
    const early = puppet.call(node, [])
    world.pass(200)
    expect([early.ended, node.links.inspect().unidentified]).toEqual([undefined, 1])
    node.links.setPeers([])
    world.pass(49)
    expect([early.ended, node.links.inspect().unidentified]).toEqual([undefined, 1])
    world.pass(3)
    expect([early.ended, node.links.inspect().unidentified]).toEqual(['the other side closed it', 0])
    const late = puppet.call(node, [])
    world.pass(49)
    expect(late.ended).toBeUndefined()
    world.pass(5)
    expect([late.ended, node.links.inspect().unidentified]).toEqual(['the other side closed it', 0])
    expect(whyEnded(node)).toEqual(['no handshake in time', 'no handshake in time'])
  })

  test('callers are answered when the node is ready, not before', () => {
    const world = new World()
    const node = world.start(1)
    const puppet = world.puppet(2)
    const talk = puppet.call(node, [puppet.hello()])
    world.pass(SOON_MS)
    expect([talk.heard, node.links.inspect().unidentified]).toEqual([[], 1])
    node.links.setPeers([])
    world.pass(SOON_MS)
    expect([talk.heard.map(({ type }) => type), node.links.inspect().unidentified]).toEqual([['welcome'], 0])
  })

  test('no more than so many may say nothing at a time', () => {
    const { world, node, puppet } = alone({ unidentifiedMax: 2, handshakeMs: 50 })
    const talks = [0, 1, 2].map(() => puppet.call(node, []))
    world.pass(10)
    expect(talks.map(({ ended }) => ended)).toEqual([expect.any(String), undefined, undefined])
    expect(node.links.inspect().unidentified).toBe(2)
    // They keep no member out, which introduces itself at once.
    const next = puppet.call(node, [puppet.hello()])
    world.pass(10)
    expect(next.heard.map(({ type }) => type)).toEqual(['welcome'])
    expect(node.links.inspect().unidentified).toBe(1)
    world.pass(50)
    expect(node.links.inspect().unidentified).toBe(0)
  })

  test('no more than so many wait for the node to be ready', () => {
    const world = new World({ unidentifiedMax: 2 })
    const node = world.start(1)
    const puppet = world.puppet(2)
    const talks = [1, 2, 3].map((attempt) => puppet.call(node, [puppet.hello({ attempt })]))
    world.pass(SOON_MS)
    expect(talks.map(({ ended }) => ended)).toEqual([expect.any(String), undefined, undefined])
    expect(node.links.inspect().unidentified).toBe(2)
    node.links.setPeers([])
    world.pass(SOON_MS)
    expect(talks.map(({ heard }) => heard.map(({ type }) => type))).toEqual([[], ['welcome'], ['welcome']])
    expect(node.links.inspect().unidentified).toBe(0)
  })

  test('callers that have hung up do not count among those that may say nothing', () => {
    const { world, node, puppet } = alone({ unidentifiedMax: 2 })
    for (let round = 0; round < 5; round++) {
      const gone = puppet.call(node, [])
      world.pass(10)
      gone.wire?.close('no more')
      world.pass(10)
    }
    const talks = [0, 1, 2].map(() => puppet.call(node, []))
    world.pass(10)
    expect(talks.map(({ ended }) => ended)).toEqual([expect.any(String), undefined, undefined])
    expect(node.links.inspect().unidentified).toBe(2)
  })

  test('callers who are refused for many reasons fill no log', () => {
    const { world, node, puppet } = alone()
    const lines = () => node.why('refused a peer').length
    const call = (clusterId: number): void => {
      puppet.greeting = { ...puppet.greeting, clusterId: String(clusterId) }
      puppet.call(node, [puppet.hello()])
      world.pass(10)
    }
    for (let clusterId = 100; clusterId < 400; clusterId++) call(clusterId)
    expect(lines()).toBe(64)
    world.pass(600_000)
    call(500)
    expect(lines()).toBe(65)
  })

  test('callers that say nothing displace those of their own address, not a member that is far away', () => {
    const { world, node, puppet } = alone({ unidentifiedMax: 4 })
    const far = puppet.call(node, [])
    world.pass(10)
    for (let round = 0; round < 20; round++) world.puppet(7).call(node, [])
    world.pass(10)
    far.say(puppet.hello())
    world.pass(10)
    expect(far.heard.map(({ type }) => type)).toEqual(['welcome'])
  })

  test.each(['messages', 'snapshot'] as const)(
    'no more replicas than so many may call for %s that are no members',
    (purpose) => {
      const { world, node } = alone({ unidentifiedMax: 2 })
      const talks = [7, 8, 9].map((id) => {
        const other = world.puppet(id)
        const talk = other.call(node, [other.hello({ purpose })])
        world.pass(10)
        return talk
      })
      expect(talks.map(({ ended }) => ended)).toEqual([undefined, undefined, 'the other side closed it'])
    },
  )

  test('when the node closes, connections without a greeting are closed, and no greeting is answered any more', () => {
    const { world, node, puppet } = alone()
    const talk = puppet.call(node, [])
    world.pass(10)
    node.links.close()
    world.pass(10)
    expect([talk.ended, whyEnded(node)]).toEqual(['the other side closed it', ['closed']])
    const next = puppet.call(node, [puppet.hello()])
    world.pass(10)
    expect([next.heard, next.ended, node.links.inspect().unidentified]).toEqual([[], 'nobody is there', 0])
  })
})

describe('with certificates', () => {
  /** A node with one member, n2, and a puppet with its own certificate that states that it is that member. */
  function impostor() {
    const { world, node, puppet } = calling((talk) => talk.wire?.close('no'))
    const thief = world.puppet(7)
    thief.certificate = ['web1', 'n7']
    thief.greeting = { ...puppet.greeting, boot: 1000, peer: 'n7' }
    return { world, node, puppet, thief }
  }

  test('a caller must be the member of the configuration, whatever its greeting states', () => {
    const { world, node, puppet, thief } = impostor()
    const refusal = refused(
      /^the caller says that it is "n2", and it is not n2: its certificate names web1, n7$/,
    )
    for (const purpose of ['messages', 'snapshot'] as const) {
      const talk = thief.call(node, [thief.hello({ purpose })])
      world.pass(SOON_MS)
      expect(talk.heard).toEqual(refusal)
    }
    expect(node.events).toEqual([])
    // Its start counter is not recorded: the real n2 is let in.
    puppet.certificate = ['n2']
    const talk = puppet.call(node, [puppet.hello()])
    world.pass(SOON_MS)
    expect(talk.heard.map(({ type }) => type)).toEqual(['welcome'])
  })

  test('a caller that states to be a newer process of this node ends nothing', () => {
    const { world, node, thief } = impostor()
    thief.greeting = { ...node.greeting, boot: node.greeting.boot + 1, peer: 'n7' }
    const talk = thief.call(node, [thief.hello()])
    world.pass(SOON_MS)
    expect(talk.heard).toEqual(refused(/it is not n1: its certificate names web1/))
    expect(node.events).toEqual([])
  })

  test.each<[string, (talk: Talk, thief: Puppet) => void]>([
    [
      'a refusal that orders this node to stop',
      (talk) => talk.say({ type: 'refusal', clusterId: '77', stop: true, sentence: 'you have lost state' }),
    ],
    ['a welcome', (talk, { greeting, incarnation }) => talk.say({ type: 'welcome', greeting, incarnation })],
  ])('who answers in place of a member is not believed: %s', (_, answer) => {
    const { world, node, puppet, thief } = impostor()
    puppet.certificate = thief.certificate
    puppet.greeting = thief.greeting
    puppet.hears = (talk, { type }) => type === 'hello' && answer(talk, puppet)
    world.pass(2_000)
    expect(puppet.talks.length).toBeGreaterThan(1)
    expect(node.events).toEqual([])
    // The same answers count from the member.
    puppet.certificate = ['n2']
    world.pass(2_000)
    puppet.call(node, [puppet.hello()])
    world.pass(SOON_MS)
    expect(node.events.length).toBeGreaterThan(0)
  })

  test('the node warns of a peer that it does not accept, and again if it had accepted it meanwhile', () => {
    const { world, node, puppet } = calling()
    for (let times = 1; times <= 2; times++) {
      puppet.certificate = ['web1']
      for (const { wire } of puppet.talks) wire?.close('no more')
      world.pass(10_000)
      expect(node.warnings).toHaveLength(times)
      puppet.certificate = ['n2']
      world.pass(10_000)
      expect(node.links.inspect()).toMatchObject({ 'dialling of 2': 0, 'retrying of 2': 0 })
    }
  })

  test('a replica that is no member is let in once a member has described it, if it is the one described', () => {
    const world = new World()
    const [one, two] = [world.start(1), world.start(2)]
    for (const node of [one, two]) node.certificate = [node.member.name]
    world.meet(one, two)
    world.pass(SOON_MS)
    const newer = world.puppet(3)
    newer.certificate = ['n3']
    const call = (greeting = newer.greeting): Frame[] => {
      const { heard } = newer.call(one, [newer.hello({ greeting, attempt: ++attempt })])
      world.pass(1_000)
      return heard
    }
    let attempt = 0
    const unknown = refused(/^the caller says that it is "n3", and this node knows no member with the id 3$/)
    expect([call(), call()]).toEqual([unknown, unknown])
    // The configuration of the other node is newer.
    two.links.setPeers([one.member, two.member, newer.member])
    world.pass(SOON_MS)
    expect(call()).toEqual(unknown)
    expect(call().map(({ type }) => type)).toEqual(['welcome'])
    expect(one.warnings).toEqual([])
    newer.certificate = ['web1']
    expect(call()).toEqual(refused(/it is not n3: its certificate names web1/))
  })

  test('members are asked about unknown callers of a network four times a second, however often these call', () => {
    const { world, node, puppet } = calling()
    puppet.certificate = ['n2']
    world.pass(SOON_MS)
    puppet.call(node, [puppet.hello()])
    world.pass(SOON_MS)
    const asked = (): number =>
      puppet.talks.flatMap(({ heard }) => heard).filter(({ type }) => type === 'member-request').length
    const outsiders = [world.puppet(8), world.puppet(9)]
    for (const outsider of outsiders) outsider.certificate = [outsider.member.name]
    for (let at = 0; at < 200; at++) {
      for (const outsider of outsiders) outsider.call(node, [outsider.hello({ attempt: at + 1 })])
      world.pass(10)
    }
    // Two networks.
    expect(asked()).toBeGreaterThanOrEqual(14)
    expect(asked()).toBeLessThanOrEqual(18)
    expect(node.links.inspect().unidentified).toBe(0)
  })

  test('a replica that was removed is told so, with any certificate', () => {
    const { world, node, thief } = impostor()
    node.admit = ({ name }) => ({ refuse: `${name} was removed`, stop: true })
    thief.greeting = { ...thief.greeting, replicaId: asReplicaId('9') }
    const talk = thief.call(node, [thief.hello()])
    world.pass(SOON_MS)
    expect(talk.heard).toEqual(refused('n2 was removed', true))
  })

  test('only members describe other replicas', () => {
    const { world, node, puppet } = alone()
    puppet.certificate = ['n2']
    const other = world.puppet(9)
    other.certificate = ['n9']
    node.links.learn([{ id: puppet.member.id, name: 'n2', peer: 'n2' }])
    const theirs = puppet.call(node, [puppet.hello()])
    const answerTo = (attempt: number): string | undefined => {
      theirs.say({ type: 'member-answer', id: other.member.id, member: { name: 'n9', peer: 'n9' } })
      world.pass(SOON_MS)
      const { heard } = other.call(node, [other.hello({ attempt })])
      world.pass(SOON_MS)
      return heard[0]?.type
    }
    world.pass(SOON_MS)
    expect(node.of('connected')).toHaveLength(1)
    expect(answerTo(1)).toBe('refusal')
    node.links.setPeers([puppet.member])
    expect(answerTo(2)).toBe('welcome')
  })

  test('the configuration counts more than a description of the same member, whichever is newer', () => {
    const { world, node, puppet } = alone()
    const call = (name: string): string | undefined => {
      puppet.certificate = [name]
      const { heard } = puppet.call(node, [puppet.hello({ attempt: ++attempt })])
      world.pass(SOON_MS)
      return heard[0]?.type
    }
    let attempt = 0
    const describe = () => node.links.learn([{ id: puppet.member.id, name: 'old', peer: 'old' }])
    describe()
    expect([call('old'), call('n2')]).toEqual(['welcome', 'refusal'])
    for (let times = 0; times < 2; times++) {
      node.links.setPeers([puppet.member])
      expect([call('old'), call('n2')]).toEqual(['refusal', 'welcome'])
      describe()
    }
  })

  test('a replica without a configuration lets those in that it was told of', () => {
    const { world, node, puppet } = alone()
    puppet.certificate = ['n2']
    const call = (): Frame[] => {
      const { heard } = puppet.call(node, [puppet.hello()])
      world.pass(SOON_MS)
      return heard
    }
    expect(call()[0]?.type).toBe('refusal')
    node.links.learn([{ id: puppet.member.id, name: 'n2', peer: 'n2' }])
    expect(call()[0]?.type).toBe('welcome')
  })
})

describe('a call', () => {
  test('says who calls, whom it means and what for, and numbers each attempt', () => {
    const { world, node, puppet } = calling((talk) => talk.wire?.close('no'))
    world.pass(1000)
    const hellos = puppet.talks.map(({ heard }) => heard[0])
    expect(hellos.length).toBeGreaterThan(3)
    for (const [at, hello] of hellos.entries()) {
      expect(hello).toEqual({
        ...{ type: 'hello', purpose: 'messages', target: '2', attempt: at + 1, greeting: node.greeting },
        incarnation: hellos[0]?.type === 'hello' ? hellos[0].incarnation : undefined,
      })
    }
  })

  const failures: [string, Puppet['hears'], string | RegExp][] = [
    ['is not answered', () => {}, 'the handshake was not answered'],
    ['is cut off', (talk) => talk.wire?.close('no'), 'the other side closed it'],
    [
      'is refused',
      (talk) => talk.say({ type: 'refusal', clusterId: '77', stop: false, sentence: 'not you' }),
      'not you',
    ],
    [
      'is answered with something else',
      (talk) => talk.say({ type: 'snapshot-staged' }),
      'an answer of type snapshot-staged to the handshake',
    ],
    ['reaches another cluster', welcomeAs({ clusterId: '78' }), 'a node of cluster 78 answered'],
    [
      'reaches another replica',
      welcomeAs({ replicaId: asReplicaId('5') }),
      'replica 5 answered instead of 2',
    ],
    ['reaches one that cannot be', welcomeAs({ boot: 10_000_001 }), /is rejected$/],
  ]
  test.each(failures)('that %s ends, and is made again', (_, hears, why) => {
    const { world, node, puppet } = calling(hears, { handshakeMs: 50 })
    world.pass(1000)
    const [first] = puppet.talks
    expect(first?.ended).toBeDefined()
    expect(node.why('could not reach a peer')[0]).toEqual({
      ...{ peer: 'n2', address: 'n2' },
      why: typeof why === 'string' ? why : expect.stringMatching(why),
    })
    expect(node.events).toEqual([])
    puppet.hears = (talk) => puppet.welcome(talk)
    const called = puppet.talks.length
    world.pass(1000)
    expect(puppet.talks).toHaveLength(called + 1)
    expect(node.why('could not reach a peer')).toHaveLength(called)
    expect(world.timers).toBe(0)
    expect(node.links.inspect()).toMatchObject({ 'dialling of 2': 0, 'retrying of 2': 0, 'failures of 2': 0 })
  })

  function welcomeAs(change: Partial<Greeting>): Puppet['hears'] {
    return (talk) => {
      const greeting = { ...theirs, ...change }
      talk.say({ type: 'welcome', greeting, incarnation: 99n })
    }
  }
  const theirs = new World().puppet(2).greeting

  test('makes the process that it reaches the newest: an older one is let in no more', () => {
    const { world, node, puppet } = calling()
    puppet.greeting = { ...puppet.greeting, boot: 5 }
    world.pass(SOON_MS)
    expect(node.underWay).toEqual({ 'broken of 2': 1 })
    const greeting = { ...puppet.greeting, boot: 4 }
    const older = puppet.call(node, [puppet.hello({ greeting, incarnation: puppet.incarnation + 1n })])
    world.pass(SOON_MS)
    expect(older.heard).toEqual(refused(/has been started: 5 starts against 4$/, true))
  })

  test('that reaches an older process than was heard of is of no use', () => {
    const { world, node, puppet } = calling()
    world.pass(SOON_MS)
    puppet.greeting = { ...puppet.greeting, boot: 1 }
    const newer = puppet.call(node, [
      puppet.hello({ greeting: { ...puppet.greeting, boot: 2 }, incarnation: 100n }),
    ])
    world.pass(SOON_MS)
    expect(newer.heard[0]?.type).toBe('welcome')
    // The call back reaches the older one again.
    expect(whyUnreached(node)).toContain(
      'a newer process of replica 2 (n2) has been started: 2 starts against 1',
    )
  })

  test.each([
    [{ clusterId: '77', stop: true }, ['you must go']],
    [{ clusterId: '77', stop: false }, []],
    [{ clusterId: '78', stop: true }, []],
  ])(
    'that is refused with %j stops the node only where that is said by its own cluster',
    (refusal, stopped) => {
      const { world, node } = calling((talk) =>
        talk.say({ type: 'refusal', ...refusal, sentence: 'you must go' }),
      )
      world.pass(4)
      expect(node.of('stop').map(({ what }) => what)).toEqual(stopped)
    },
  )

  test('that is given up is not answered any more', () => {
    const { world, node, puppet } = calling(() => {})
    world.pass(10)
    const [talk] = puppet.talks as [Talk]
    node.links.setPeers([])
    puppet.welcome(talk)
    world.pass(10_000)
    expect([talk.ended, puppet.talks.length, node.events, node.logged]).toEqual([
      'the other side closed it',
      1,
      [],
      [],
    ])
  })
})
