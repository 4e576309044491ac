// The scenarios that are nothing but a load: puts, gets, a mix of both, ranges.

import type { Cluster } from '../clusters/cluster.ts'
import { sendOnce } from '../load/http-connection.ts'
import type { Consistency } from '../load/load.ts'
import { type LoadWish, measureLoad } from './measure-load.ts'
import { type Scenario, TEN_MILLION } from './scenario.ts'

const IN_FLIGHT = [1, 16, 64, 256, 1000] as const
const RANGE = 100
/** Keys of a list. */
const LIST = 5_000

function scenario(name: string, about: string, wish: LoadWish, more: Partial<Scenario> = {}): Scenario {
  return {
    name,
    about,
    store: 'filled',
    per: 'protocol',
    measure: (side, setting) => measureLoad(side, setting, wish),
    ...more,
  }
}

const puts = IN_FLIGHT.map((inFlight) =>
  scenario(`put-${inFlight}`, `puts of random keys that exist, ${inFlight} in flight`, {
    in_flight: inFlight,
  }),
)

const gets = IN_FLIGHT.map((inFlight) =>
  scenario(`get-${inFlight}`, `linearizable gets of random keys, ${inFlight} in flight`, {
    in_flight: inFlight,
    reads: 1,
  }),
)

const get64 = (consistency: Consistency): LoadWish => ({ in_flight: 64, reads: 1, consistency })

/** Turns reads by lease on for the whole cluster, or off. */
async function setLeases(cluster: Cluster, on: boolean): Promise<void> {
  const [node] = await cluster.nodes()
  const body = Buffer.from(JSON.stringify({ leases: { on } }))
  const path = '/v1/cluster/settings'
  await sendOnce(node?.url ?? '', { method: 'POST', path, json: true, body })
}

/** Its processes have just been started, so it warms them up for longer. */
export const EMPTY_LOAD: Scenario = scenario(
  'put-empty',
  'puts, 256 in flight, into a store that is empty at first; random keys of 10,000',
  { in_flight: 256, keys: 10_000, warmup_seconds: 10 },
  { store: 'empty' },
)

export const LOADS: readonly Scenario[] = [
  ...puts,
  scenario('creates', 'creations of keys, if they do not exist, 64 in flight', {
    in_flight: 64,
    writes: 'create',
  }),
  scenario('updates', 'updates of keys, if they have the revision of the last answer, 64 in flight', {
    in_flight: 64,
    writes: 'update',
  }),
  ...gets,
  scenario('get-lease', 'gets by the lease of the leader, 64 in flight', get64('lease'), {
    async measure(side, setting) {
      await setLeases(side.cluster, true)
      try {
        return await measureLoad(side, setting, get64('lease'))
      } finally {
        await setLeases(side.cluster, false)
      }
    },
  }),
  scenario(
    'get-stale',
    'stale gets (etcd: serializable; NATS: by any replica; rqlite: none), 64 in flight',
    get64('stale'),
  ),
  scenario('mixed', '90 % linearizable gets and 10 % puts, 64 in flight', { in_flight: 64, reads: 0.9 }),
  scenario('range', `linearizable ranges of ${RANGE} keys, 16 in flight`, {
    in_flight: 16,
    reads: 1,
    range: RANGE,
  }),
  ...[0, 500].map((page) =>
    scenario(
      page === 0 ? 'lists' : `lists-${page}`,
      `linearizable lists of ${LIST.toLocaleString('en')} keys, ${page === 0 ? 'whole' : `in pages of ${page}`}, 4 in flight`,
      { in_flight: 4, reads: 1, range: LIST, page },
    ),
  ),
]

export const TEN_MILLION_LOADS: readonly Scenario[] = [
  scenario(
    'put-10m',
    'puts of random keys of ten million, 256 in flight',
    { in_flight: 256, keys: TEN_MILLION },
    { store: 'ten million' },
  ),
  scenario(
    'get-10m',
    'linearizable gets of random keys of ten million, 64 in flight',
    { in_flight: 64, reads: 1, keys: TEN_MILLION },
    { store: 'ten million' },
  ),
]
