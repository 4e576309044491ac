// Three nodes behind relays that are reset, black-holed and healed at random. The nodes restart at random, while all
// of them send and their terms rise. The guarantees of the transport to the core must hold all the time, and at the
// end all nodes must be connected.

import { test } from 'vitest'
import { Random } from '../../../../jepsen-lite/workload/random.ts'
import { createRelay, type Relay } from '../../../../src/local/relays/relay.ts'
import { asIndex, asReplicaId, asTerm } from '../../../../src/raft/types.ts'
import { runs } from '../../../runs.ts'
import { Ledger } from '../ledger.ts'
import { atEnd, portOf, type TestNode, testNode } from './test-nodes.ts'

const IDS = [1, 2, 3]
const STEPS = runs(400)

test.each([1, 2])(
  'what is promised to the core holds whatever happens to connections and processes (seed %i)',
  async (seed) => {
    const random = new Random(seed)
    const relays = new Map<string, Relay>()
    const nodes = new Map<number, TestNode>()
    const ledgers = new Map<number, Ledger>()
    const terms = new Map<number, number>()
    let boots = 0
    let round = 0

    const start = async (id: number): Promise<void> => {
      const made = await testNode({
        id,
        boot: ++boots,
        limits: { silenceMs: 90, handshakeMs: 60, reconnectMaxMs: 20 },
        resolvePeer: (member) => `127.0.0.1:${relays.get(`${id}${member.id}`)?.address.port}`,
      })
      made.greeting = { ...made.greeting, term: asTerm(terms.get(id) ?? 1) }
      nodes.set(id, made)
      ledgers.set(id, new Ledger(made))
      made.network.setPeers(
        IDS.map((peer) => ({
          id: asReplicaId(String(peer)),
          name: `n${peer}`,
          peer: `127.0.0.1:${peer}`,
          url: '',
        })),
      )
    }
    const of = <T>(things: Map<number, T>, id: number): T => {
      const thing = things.get(id)
      if (thing === undefined) throw new Error(`no ${id}`)
      return thing
    }
    const talk = (): void => {
      for (const id of IDS) {
        const { network, greeting, member } = of(nodes, id)
        for (const peer of IDS) {
          if (peer === id) continue
          round++
          network.send({
            type: 'heartbeat',
            from: member.id,
            to: asReplicaId(String(peer)),
            term: greeting.term,
            commit: asIndex(greeting.boot),
            round,
            confirmed: undefined,
            appliedByMajority: asIndex(0),
          })
        }
      }
    }
    const check = (): void => {
      for (const id of IDS) of(ledgers, id).check()
    }

    for (const from of IDS) {
      for (const to of IDS) {
        const target = () => {
          const address = nodes.get(to)?.address
          return address === undefined ? undefined : { host: '127.0.0.1', port: portOf(address) }
        }
        const relay = await createRelay({ listen: { host: '127.0.0.1', port: 0 }, target })
        atEnd(() => relay.close())
        relays.set(`${from}${to}`, relay)
      }
    }
    for (const id of IDS) await start(id)

    const links = [...relays.values()]
    for (let step = 0; step < STEPS; step++) {
      const link = links[random.below(links.length)]
      const id = IDS[random.below(3)] ?? 1
      const what = random.below(20)
      if (what === 0) link?.reset()
      else if (what === 1) link?.setMode('blackhole')
      else if (what < 5) link?.setMode('pass')
      else if (what < 8) {
        terms.set(id, (terms.get(id) ?? 1) + 1)
        const it = of(nodes, id)
        it.greeting = { ...it.greeting, term: asTerm(terms.get(id) ?? 1) }
      } else if (what === 8 && random.below(3) === 0) {
        of(nodes, id).network.close()
        await of(nodes, id).closed
        check()
        await start(id)
      }
      talk()
      await new Promise((resolve) => setTimeout(resolve, random.below(3)))
      check()
    }

    for (const link of links) link.setMode('pass')
    for (const id of IDS) {
      const reached = new Set<string>()
      const since = of(nodes, id).events.length
      while (reached.size < 2) {
        talk()
        await new Promise(setImmediate)
        for (const event of of(nodes, id).events.slice(since))
          if (event.kind === 'message') reached.add(event.message.from)
      }
    }
    check()
  },
)
