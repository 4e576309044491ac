// The longest turn of the event loop that the heaviest request of each kind causes on each of three nodes. Heartbeats,
// and all other clients, wait as long.

import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { DEFAULT_SETTINGS } from '../../src/kv/index.ts'
import { SETTING_LIMITS } from '../../src/operations/forms/settings.ts'
import { type MeasuredCluster, startMeasured } from '../stalls/measured-cluster.ts'
import { HEAVY_REQUESTS, type HeavyRequest, type Sizes, TestStore } from '../stalls/requests.ts'
import { RIGHTS_REQUESTS } from '../stalls/rights-requests.ts'
import { atTheEnd } from '../undo.ts'
import type { Figures, Scenario } from './scenario.ts'

/** A little less than a limit: keys and values of an answer count together. */
const SHARE = 0.9

const sizesOf = (keys: number, bytes: number): Sizes => ({
  keys,
  keyBytes: Math.min(SHARE * bytes, keys * 4096),
  answerBytes: SHARE * bytes,
})

function stalls(name: string, about: string, { rangeKeysMax, rangeBytesMax }: Limits): Scenario {
  return {
    name,
    about,
    store: 'empty',
    per: 'system',
    async measure(_, { directory }) {
      const cluster = await startMeasured(await mkdtemp(join(directory, 'stalls-')))
      atTheEnd(async () => cluster.stop())
      const [first, ...others] = cluster.nodes.map(({ url }) => url)
      if (first === undefined) throw new Error('a cluster without nodes')
      const store = new TestStore([first, ...others])
      await store.call('POST', '/v1/cluster/settings', {
        range_keys_max: rangeKeysMax,
        range_bytes_max: rangeBytesMax,
      })
      let figures: Figures = {}
      for (const request of [...HEAVY_REQUESTS, ...RIGHTS_REQUESTS])
        figures = {
          ...figures,
          ...(await measured(request, store, cluster, sizesOf(rangeKeysMax, rangeBytesMax))),
        }
      cluster.stop()
      return { figures }
    },
  }
}

interface Limits {
  readonly rangeKeysMax: number
  readonly rangeBytesMax: number
}

async function measured(
  { name, prepare }: HeavyRequest,
  store: TestStore,
  cluster: MeasuredCluster,
  sizes: Sizes,
): Promise<Figures> {
  const send = await prepare(store, sizes)
  await store.settle()
  for (const node of cluster.nodes) await node.longest()
  const term = await store.term()
  await send()
  await store.settle()
  const figures: Record<string, number> = {}
  for (const node of cluster.nodes) {
    const { cpuMs, ms } = await node.longest()
    figures[`${name}.${node.name}_cpu_ms`] = cpuMs
    figures[`${name}.${node.name}_ms`] = ms
  }
  figures[`${name}.elections`] = (await store.term()) - term
  await store.clear()
  return figures
}

export const STALLS: readonly Scenario[] = [
  stalls('stalls', 'longest turn of the event loop for the heaviest request of each kind', DEFAULT_SETTINGS),
  stalls('stalls-max', 'the same with the largest settings that are legal', {
    rangeKeysMax: SETTING_LIMITS.rangeKeysMax.max,
    rangeBytesMax: SETTING_LIMITS.rangeBytesMax.max,
  }),
]
