// All watches of a run: one of every key, from the beginning on, which is the log of the history; and others, which ask
// for all kinds of things.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientTls } from '../../src/client/types.ts'
import type { WatchSelection } from '../checker/watch/index.ts'
import type { Recorder } from '../workload/history.ts'
import type { Random } from '../workload/random.ts'
import { WIRES, type WireName } from './wires/index.ts'
import { LibraryWatchClients } from './wires/library-watch-clients.ts'
import { NodeWatchClients, type WatchClients } from './wires/watch-clients.ts'
import type { NodeAddress, WireFeatures } from './wires/wire.ts'

/** The name of the client whose watches are the log. */
export const LOG = 'log'
/** Maximum time until a watch has received everything after the end of all faults. */
const CATCH_UP_MS_MAX = 20_000
const POLL_MS = 50
/** Keys of the workloads begin with this letter and a digit (workloads.ts). */
const KEY = 'k'

interface WatchersOptions {
  /** Besides the log. */
  readonly count: number
  readonly random: Random
  readonly recorder: Recorder
  readonly targets: () => readonly NodeAddress[]
  readonly wire: WireName
  readonly tls?: ClientTls | undefined
  readonly signal: AbortSignal
  readonly report: (message: string) => void
}

export class RunWatchers {
  readonly done: Promise<unknown>
  readonly #log: NodeWatchClients
  readonly #all: readonly WatchClients[]
  readonly #recorder: Recorder

  constructor({ count, random, wire, ...options }: WatchersOptions) {
    const { features, WatchClients: OfNodes, createLibraryClient } = WIRES[wire]
    this.#recorder = options.recorder
    const selection: WatchSelection = { start: '', from: 1, prev: false, values: true }
    this.#log = new OfNodes({
      ...options,
      client: LOG,
      selection,
      random: random.named(LOG),
      isSlow: false,
      moves: false,
    })
    const others = Array.from({ length: count }, (_, at) => {
      const own = random.named(`watch ${at}`)
      const drawnOptions = {
        ...options,
        client: `w${at + 1}`,
        selection: drawn(own, features),
        random: own,
        isSlow: at % 4 === 1,
        moves: at % 2 === 0,
        usesOtherForm: at % 4 === 2,
      }
      if (at % 4 === 3) {
        // Without progress it has received everything when it has the last event of all.
        const selection = features.libraryProgress
          ? drawnOptions.selection
          : withAllEvents(drawnOptions.selection)
        return new LibraryWatchClients({ ...drawnOptions, selection }, createLibraryClient)
      }
      return new OfNodes(drawnOptions)
    })
    this.#all = [this.#log, ...others]
    this.done = Promise.all(this.#all.map(({ done }) => done))
  }

  get logUpTo(): number {
    return this.#log.upTo
  }

  /** The faults are over: each receives everything up to this revision. Returns what is wrong. */
  async settle(revision: number): Promise<string[]> {
    for (const one of this.#all) if (one instanceof NodeWatchClients) one.hurry()
    const deadline = performance.now() + CATCH_UP_MS_MAX
    const isCaughtUp = ({ upTo, id }: WatchClients): boolean => upTo >= revision && id !== undefined
    while (!this.#all.every(isCaughtUp) && performance.now() < deadline) await sleep(POLL_MS)
    for (const { id, upTo } of this.#all)
      if (id !== undefined && upTo >= revision) this.#recorder.watchMessage(id, { kind: 'due', revision })
    return this.#all
      .filter((one) => !isCaughtUp(one))
      .map(
        ({ client, upTo }) =>
          `the watch of client ${client} received changes up to revision ${upTo} only, ${CATCH_UP_MS_MAX} ms after all nodes had reached ${revision}`,
      )
  }
}

const withAllEvents = ({ from, prev, values }: WatchSelection): WatchSelection => ({
  ...{ start: '', prev, values },
  ...(from !== undefined && { from }),
})

/** All keys, ranges, single keys, from the past, now, or the future. */
function drawn(random: Random, { valuelessWatches }: WireFeatures): WatchSelection {
  const [one, other] = [random.below(8), random.below(8)]
  const place = random.pick<Pick<WatchSelection, 'key' | 'start' | 'end'>>([
    { start: '' },
    { start: '' },
    { start: `${KEY}${Math.min(one, other)}`, end: `${KEY}${Math.max(one, other) + 1}` },
    { start: `${KEY}${one}` },
    { key: `${KEY}${one}/0` },
  ])
  const only = random.pick(['put', 'delete', undefined, undefined] as const)
  const from = random.pick([undefined, 1, 2, 500])
  return {
    ...place,
    prev: random.chance(0.5),
    values: random.chance(0.7) || !valuelessWatches,
    ...(only !== undefined && { only }),
    ...(from !== undefined && { from }),
  }
}
