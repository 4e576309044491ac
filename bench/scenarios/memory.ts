import { settled } from '../clusters/cluster.ts'
import { sample } from '../measure/processes.ts'
import { memoryFigures, roleOf } from './measure-load.ts'
import type { Scenario } from './scenario.ts'

const memory: Omit<Scenario, 'name' | 'about' | 'store'> = {
  per: 'system',
  async measure({ cluster }) {
    const nodes = await settled(cluster)
    const figures = nodes.map(({ pid }, at) =>
      pid === undefined ? {} : memoryFigures(roleOf(at), sample(pid)),
    )
    return { figures: Object.assign({}, ...figures) }
  },
}

export const MEMORY: Scenario = {
  name: 'memory',
  about: 'memory of each node with all keys in the store, without load',
  store: 'filled',
  ...memory,
}

export const MEMORY_10M: Scenario = {
  name: 'memory-10m',
  about: 'the same with ten million keys',
  store: 'ten million',
  ...memory,
}
