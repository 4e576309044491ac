// A cluster of one node that is always ready, and its side of a comparison.

import type { Cluster } from '../../bench/clusters/cluster.ts'
import type { Setting, Side } from '../../bench/scenarios/scenario.ts'

/** `pid`: undefined for a node whose process is not known. */
export const fakeCluster = (system: string, pid?: number): Cluster => ({
  system,
  version: '1',
  nodes: async () => [{ name: 'n1', url: 'http://127.0.0.1:1', pid }],
  view: async () => ({ leader: 'n1', term: 1, applied: 1 }),
  isReady: async () => true,
  syncs: async () => 0,
  put: async () => {},
  restart: async () => {},
})

export const sideOf = (name: string, cluster: Cluster, without: Side['without'] = {}): Side => ({
  name,
  about: '',
  cluster,
  without,
  over: 'http',
  generator: { command: 'false', args: [] },
  to: 'leader',
  connections: { writes: 1, reads: 1 },
})

export const SETTING: Setting = {
  keys: 1,
  valueBytes: 1,
  rate: null,
  seconds: 1,
  warmupSeconds: 1,
  directory: '/nowhere',
}
