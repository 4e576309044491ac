import { expect, test } from 'vitest'
import { type Cluster, kill, type NodeView, settled } from '../../bench/clusters/cluster.ts'
import { watchersOf } from '../../bench/load/watch-load.ts'
import { atTheEnd, undoAll } from '../../bench/undo.ts'
import { fakeCluster } from './fake-cluster.ts'

/** The view of each node; undefined: it does not answer, `loading`: it is not ready. */
type Views = Readonly<Record<string, string | undefined>>

/** A cluster whose nodes have these leaders, one state after the other. */
function clusterOf(...states: readonly Views[]): { readonly cluster: Cluster; readonly looks: () => number } {
  let looks = -1
  const state = (): Views => states[Math.min(looks, states.length - 1)] ?? {}
  const cluster: Cluster = {
    ...fakeCluster('fake'),
    nodes: async () => {
      looks++
      return ['n1', 'n2', 'n3'].map((name) => ({ name, url: `http://${name}`, pid: undefined }))
    },
    isReady: async ({ name }) => {
      if (state()[name] === undefined) throw new Error('no answer')
      return state()[name] !== 'loading'
    },
    view: async ({ name }): Promise<NodeView> => ({ leader: state()[name], term: 1, applied: 1 }),
  }
  return { cluster, looks: () => looks }
}

test('a cluster is settled when all nodes are ready and name the same leader, which is first', async () => {
  const states: readonly Views[] = [
    { n1: 'n2', n2: 'n2', n3: undefined },
    { n1: 'n2', n2: 'n2', n3: 'loading' },
    { n1: 'n1', n2: 'n2', n3: 'n2' },
    { n1: 'n2', n2: 'n2', n3: 'n3' },
    { n1: 'n4', n2: 'n4', n3: 'n4' },
    { n1: 'n2', n2: 'n2', n3: 'n2' },
  ]
  const { cluster, looks } = clusterOf(...states)
  expect((await settled(cluster)).map(({ name }) => name)).toEqual(['n2', 'n1', 'n3'])
  expect(looks()).toBe(states.length - 1)
})

test('a node whose process is not known cannot be killed', () => {
  expect(() => kill({ name: 'n1', url: '', pid: undefined })).toThrow('the process of n1 is not known')
})

test('the last thing is undone first, a failure keeps none from it, and everything is undone once', async () => {
  await undoAll(() => {})
  const done: string[] = []
  const failures: string[] = []
  for (const name of ['a', 'b', 'c'])
    atTheEnd(async () => {
      done.push(name)
      if (name === 'b') {
        atTheEnd(async () => void done.push('made meanwhile'))
        throw new Error('a reason')
      }
    })
  for (let time = 0; time < 2; time++) await undoAll((message) => failures.push(message))
  expect(done).toEqual(['c', 'b', 'made meanwhile', 'a'])
  expect(failures).toEqual(['Error: a reason'])
})

test.each([
  [10, 10],
  [10, 4],
  [10, 1],
  [4, 10],
])('%i watchers of %i keys: each put has an event at each watcher of its key', (watchers, keys) => {
  const load = {
    ...({ over: 'client', endpoints: [], connections: 1, watchers, watched_keys: keys } as const),
    ...{ rate: 1, value_bytes: 1, warmup_seconds: 0, seconds: 1 },
  }
  const numbers = Array.from({ length: watchers }, (_, watcher) => watcher % keys)
  for (let key = 0; key < keys; key++)
    expect(watchersOf(key, load)).toBe(numbers.filter((each) => each === key).length)
})
