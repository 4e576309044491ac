// Cost of TLS and rights. Short loads on two clusters, one with both and one without, alternate, so that a change of
// the machine's speed falls on both. The figures are medians of the ratios of neighbours.

import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { type RunningCluster, startCluster } from '../clusters/secure.ts'
import { BEGUN, type Load, type LoadReport, type Over } from '../load/load.ts'
import { NODE_GENERATOR, startGenerator, startLoad } from '../load/run-generator.ts'
import { sample } from '../measure/processes.ts'
import { median } from '../report/median.ts'
import type { Figures, Scenario, Setting } from './scenario.ts'

const PAIRS = 3
const KEYS = 10_000
const WRONG_LOGINS_PER_S = 200

type Wish = Pick<Load, 'over' | 'in_flight' | 'reads'> & Partial<Load>

function loadOn({ nodes, access }: RunningCluster, setting: Setting, wish: Wish): Load {
  const urls = nodes.map(({ url }) => url)
  return {
    endpoints: wish.over === 'http' ? urls.slice(0, 1) : urls,
    ...(access && { access }),
    connections: 1,
    rate: null,
    consistency: 'linearizable',
    writes: 'put',
    range: 1,
    keys: KEYS,
    fill_from: null,
    value_bytes: setting.valueBytes,
    warmup_seconds: setting.warmupSeconds,
    seconds: setting.seconds,
    ...wish,
  }
}

interface Rate {
  readonly opsPerS: number
  /** CPU time of all nodes. */
  readonly cpuMicros: number
  readonly errors: LoadReport['errors']
}

async function rateOn(cluster: RunningCluster, setting: Setting, wish: Wish): Promise<Rate> {
  const load = startLoad(NODE_GENERATOR, loadOn(cluster, setting, wish))
  await load.begun
  const before = cpuOf(cluster)
  const { operations, seconds, errors } = await load.report
  return { opsPerS: operations / seconds, cpuMicros: (cpuOf(cluster) - before) / operations, errors }
}

function countIn(sums: Record<string, number>, errors: LoadReport['errors']): void {
  for (const [kind, count] of Object.entries(errors)) sums[kind] = (sums[kind] ?? 0) + count
}

const cpuOf = ({ nodes }: RunningCluster): number =>
  nodes.reduce((sum, { pid }) => sum + sample(pid).cpuMicros, 0)

async function fill(cluster: RunningCluster, setting: Setting): Promise<void> {
  const wish = {
    over: 'client',
    in_flight: 64,
    reads: 0,
    fill_from: 0,
    seconds: null,
    warmup_seconds: 0,
  } as const
  const { errors } = await startLoad(NODE_GENERATOR, loadOn(cluster, setting, wish)).report
  const kinds = Object.keys(errors)
  if (kinds.length > 0) throw new Error(`the store could not be filled: ${kinds.join(', ')}`)
}

/** The first of each pair divided by the second. */
const ratiosOf = (name: string, pairs: readonly (readonly [Rate, Rate])[]): Figures => ({
  [`${name}.rate_ratio`]: median(pairs.map(([one, other]) => one.opsPerS / other.opsPerS)),
  [`${name}.server_cpu_ratio`]: median(pairs.map(([one, other]) => one.cpuMicros / other.cpuMicros)),
  [`${name}.ops_per_s_of_the_second`]: median(pairs.map(([, { opsPerS }]) => opsPerS)),
})

export const SECURE: Scenario = {
  name: 'secure',
  about: `TLS and rights against neither: ${PAIRS} pairs of each load on two clusters of their own`,
  store: 'empty',
  per: 'system',
  takesLong: true,
  async measure(_, setting) {
    const directory = await mkdtemp(join(setting.directory, 'secure-'))
    const plain = await startCluster(join(directory, 'plain'), false)
    const secure = await startCluster(join(directory, 'secure'), true)
    for (const cluster of [plain, secure]) await fill(cluster, setting)
    const figures: Record<string, number> = {}
    const errors: Record<string, number> = {}
    for (const over of ['http', 'client'] satisfies Over[]) {
      for (const [operation, reads] of [
        ['put', 0],
        ['get', 1],
      ] as const) {
        for (const in_flight of [1, 64]) {
          const wish = { over, in_flight, reads }
          const pairs: (readonly [Rate, Rate])[] = []
          for (let pair = 0; pair < PAIRS; pair++)
            pairs.push([await rateOn(secure, setting, wish), await rateOn(plain, setting, wish)])
          for (const rate of pairs.flat()) countIn(errors, rate.errors)
          Object.assign(figures, ratiosOf(`${over}.${operation}_${in_flight}`, pairs))
        }
      }
    }
    return { figures, errors }
  },
}

export const WRONG_LOGINS: Scenario = {
  name: 'wrong-logins',
  about: `rate of puts while another process tries ${WRONG_LOGINS_PER_S} wrong logins/s, against without; TLS and rights`,
  store: 'empty',
  per: 'system',
  takesLong: true,
  async measure(_, setting) {
    const directory = await mkdtemp(join(setting.directory, 'wrong-logins-'))
    const cluster = await startCluster(join(directory, 'data'), true)
    await fill(cluster, setting)
    const storm = {
      over: 'wrong-logins',
      in_flight: 200,
      reads: 0,
      rate: WRONG_LOGINS_PER_S,
      seconds: null,
    } as const
    const figures: Record<string, number> = {}
    const errors: Record<string, number> = {}
    for (const in_flight of [1, 64]) {
      const pairs: (readonly [Rate, Rate])[] = []
      for (let pair = 0; pair < PAIRS; pair++) {
        const wish = { over: 'client', in_flight, reads: 0 } as const
        const calm = await rateOn(cluster, setting, wish)
        const logins = startGenerator(
          NODE_GENERATOR,
          loadOn(cluster, setting, { ...storm, warmup_seconds: 0 }),
        )
        await logins.expect(BEGUN)
        pairs.push([await rateOn(cluster, setting, wish), calm])
        // Many of its logins wait.
        logins.kill()
      }
      for (const rate of pairs.flat()) countIn(errors, rate.errors)
      Object.assign(figures, ratiosOf(`put_${in_flight}`, pairs))
    }
    return { figures, errors }
  },
}
