// Runs scenarios on all sides: A B A B, so that a change of the machine's speed falls on all of them.

import { type Cluster, settled, signalAll } from './clusters/cluster.ts'
import type { Measurement } from './report/result.ts'
import { fill } from './scenarios/fill.ts'
import { type Scenario, type Setting, type Side, TEN_MILLION } from './scenarios/scenario.ts'

export interface BenchRun {
  readonly scenarios: readonly Scenario[]
  readonly sides: readonly Side[]
  readonly rounds: number
  readonly setting: Setting
  /** Called with a line about the next step. */
  readonly progress: (line: string) => void
}

export async function run({ scenarios, sides, rounds, setting, progress }: BenchRun): Promise<Measurement[]> {
  const clusters = new ExclusiveClusters(sides)
  const filled = new Map<Cluster, number>()
  const measurements: Measurement[] = []
  for (const scenario of scenarios) {
    const takingPart = sidesOf(scenario, sides)
    for (const side of takingPart) {
      const from = filled.get(side.cluster) ?? 0
      const to = keysFor(scenario, setting)
      if (from >= to) continue
      progress(`${side.cluster.system}: writing keys up to ${to.toLocaleString('en')}`)
      await clusters.resume(side.cluster)
      await fill(side, setting, { fill_from: from, keys: to })
      filled.set(side.cluster, to)
    }
    for (let round = 1; round <= rounds; round++) {
      for (const side of takingPart) {
        const name = scenario.per === 'system' ? side.cluster.system : side.name
        progress(`${scenario.name}, ${name}${rounds > 1 ? `, round ${round}` : ''}`)
        await clusters.resume(side.cluster)
        const measured = await scenario.measure(side, setting)
        measurements.push({
          scenario: scenario.name,
          side: name,
          system: side.cluster.system,
          round,
          ...measured,
        })
      }
    }
  }
  return measurements
}

const keysFor = ({ store }: Scenario, { keys }: Setting): number =>
  ({ empty: 0, filled: keys, 'ten million': TEN_MILLION })[store]

function sidesOf({ name, per }: Scenario, sides: readonly Side[]): readonly Side[] {
  const able = sides.filter(({ without }) => without[name] === undefined)
  if (per === 'protocol') return able
  return able.filter(({ cluster }, at) => able.findIndex((side) => side.cluster === cluster) === at)
}

/** Lets one cluster run at a time. The processes of the others are stopped, so that they take no CPU time. */
class ExclusiveClusters {
  readonly #clusters: readonly Cluster[]
  #running: Cluster | undefined

  constructor(sides: readonly Side[]) {
    this.#clusters = [...new Set(sides.map(({ cluster }) => cluster))]
  }

  async resume(cluster: Cluster): Promise<void> {
    if (this.#running === cluster) return
    for (const other of this.#clusters) if (other !== cluster) await signalAll(other, 'SIGSTOP')
    await signalAll(cluster, 'SIGCONT')
    await settled(cluster)
    this.#running = cluster
  }
}
