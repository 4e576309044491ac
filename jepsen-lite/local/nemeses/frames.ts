// Networks that lose, repeat, damage or delay messages. The links go through a hop that does it (frame-fault-proxy.ts).
// Their connections are reset first, so that the hop sees each connection from its first frame.

import type { Random } from '../../workload/random.ts'
import { createFrameFaultProxy, type FrameFault, type Measure } from '../frame-fault-proxy.ts'
import { type Nemesis, oneNode } from '../nemesis.ts'

/** These faults need whole frames, which the hop cannot find under TLS. */
const WHOLE_FRAME_FAULTS: readonly FrameFault[] = ['drop', 'double', 'reorder', 'replay']

const mangling = (
  kind: FrameFault,
  says: string,
  { quiet, ...chosen }: { readonly measure: (random: Random) => Partial<Measure>; readonly quiet?: true },
): Nemesis => ({
  kind,
  says,
  groups: ['frames'],
  ...(quiet === undefined ? {} : { quiet }),
  missing: ({ cluster }) =>
    cluster.tls !== undefined && WHOLE_FRAME_FAULTS.includes(kind)
      ? 'TLS hides where frames begin'
      : undefined,
  async inject(world) {
    const { cluster, random, round } = world
    const { network } = cluster
    const node = oneNode(world)
    if (node === undefined) return 'no node runs'
    // All links, or the links to and from one node.
    const everyone = round > 0 && random.chance(0.4)
    const links = network
      .between((from, to) => everyone || from === node.name || to === node.name)
      .filter(({ hasDetour }) => !hasDetour)
    if (links.length === 0) return 'these links already have such a fault'
    const measure: Measure = {
      probability: 0,
      delayMs: [0, 0],
      bytesPerSecond: Number.POSITIVE_INFINITY,
      ...chosen.measure(random),
    }
    const manglers = await Promise.all(
      links.map(async (link) => {
        const stream = random.named(`${kind} ${round} ${link.from} ${link.to}`)
        const mangler = await createFrameFaultProxy(
          kind,
          measure,
          stream,
          () => cluster.node(link.to).peerListener,
        )
        link.lead(mangler.address)
        return mangler
      }),
    )
    const spoiled = (): number => manglers.reduce((sum, mangler) => sum + mangler.spoiled, 0)
    return {
      nodes: everyone ? cluster.members.map(({ name }) => name) : [node.name],
      details: { measure, links: links.length },
      effect: () =>
        spoiled() > 0
          ? `${spoiled()} ${kind === 'corrupt' || kind === 'slice' ? 'pieces' : 'frames'}`
          : undefined,
      async heal() {
        for (const link of links) link.lead(undefined)
        await Promise.all(manglers.map((mangler) => mangler.close()))
      },
    }
  },
})

/** The part of the frames that is changed: from a few to almost all. */
const some = (random: Random) => ({ probability: random.pick([0.05, 0.2, 0.5, 0.95]) })

export const FRAME_NEMESES: readonly Nemesis[] = [
  mangling('drop', 'whole frames lost', {
    measure: (random) => ({ probability: random.pick([0.05, 0.3, 0.7, 1]) }),
    quiet: true,
  }),
  mangling('double', 'whole frames delivered twice', { measure: some, quiet: true }),
  mangling('reorder', 'whole frames held back, so that later ones arrive first', {
    measure: some,
    quiet: true,
  }),
  mangling('replay', 'frames from seconds ago delivered again', { measure: some, quiet: true }),
  mangling('corrupt', 'single bits flipped', {
    measure: (random) => ({ probability: random.pick([0.01, 0.1, 0.5]) }),
    quiet: true,
  }),
  mangling('slice', 'streams delivered a few bytes at a time', { measure: () => ({}), quiet: true }),
  mangling('delay', 'all bytes delayed, from a few milliseconds to more than an election time-out', {
    measure: (random) => ({
      delayMs: random.pick([
        [5, 40],
        [50, 200],
        [300, 900],
        [900, 1_800],
      ] as const),
    }),
    quiet: true,
  }),
  mangling('throttle', 'streams limited to so few bytes a second that queues grow', {
    measure: (random) => ({ bytesPerSecond: random.pick([500, 4_000, 20_000]) }),
    quiet: true,
  }),
]
