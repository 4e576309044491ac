// Whatever a store with a fault loses, invents or repeats is a failure of its kind.

import { expect, test } from 'vitest'
import type { KubeEvent } from './kubernetes/api.ts'
import { failuresOf, History, isIn, keyOf, rowOf } from './kubernetes/history.ts'
import { CHANGED, CONFIGURATIONS } from './kubernetes/load.ts'

type End = Parameters<typeof failuresOf>[0]

const ONE = `${CONFIGURATIONS}/${CHANGED}0`
const OTHER = `${CONFIGURATIONS}/${CHANGED}1`
const POD = '/api/v1/namespaces/load/pods/bound-0'

const event = (revision: number): KubeEvent => ({
  type: 'MODIFIED',
  object: { metadata: { name: 'any', resourceVersion: String(revision) } },
})
const writes = (revisions: readonly number[], deletes = 0, unknown = 0) => ({
  ...{ revisions: new Set(revisions), deletes, unknown },
})

/** Two configurations, of which one is deleted and created again, and a pod. */
function end(more: Partial<End> = {}): End {
  const history = new History()
  for (const [path, revision, isDeleted] of [
    [ONE, 11, false],
    [OTHER, 12, false],
    [ONE, 13, false],
    [POD, 14, false],
    [ONE, 15, true],
    [ONE, 16, false],
  ] as const)
    history.add(keyOf(path), revision, isDeleted)
  const keys = [rowOf(keyOf(ONE), 16), rowOf(keyOf(OTHER), 12), rowOf(keyOf(POD), 14)]
  return {
    history,
    collections: ['/api/v1/pods', '/api/v1/configmaps'],
    objects: new Map([
      [ONE, writes([11, 13, 16], 1)],
      [OTHER, writes([12])],
      [POD, writes([14])],
    ]),
    keys,
    lists: [keys, keys],
    watches: [{ path: CONFIGURATIONS, from: 11, events: [12, 13, 15, 16].map(event) }],
    published: ['app-0 10.1.0.1'],
    ready: ['app-0 10.1.0.1'],
    ...more,
  }
}

const kinds = (more: Partial<End>): readonly string[] => Object.keys(failuresOf(end(more)))
const watch = (...revisions: number[]): Partial<End> => ({
  watches: [...end().watches, { path: CONFIGURATIONS, from: 11, events: revisions.map(event) }],
})
const objects = (path: string, ...ofIt: Parameters<typeof writes>): Partial<End> => ({
  objects: new Map([...end().objects, [path, writes(...ofIt)]]),
})
const { keys } = end()

test('a store without a fault has none', () => {
  expect(failuresOf(end())).toEqual({})
})

test.each<[string, Partial<End>, string]>([
  ['an event that a watch did not receive', watch(12, 13, 16), 'watches'],
  ['the last event, which a watch did not receive', watch(12, 13, 15), 'watches'],
  ['an event twice', watch(12, 13, 13, 15, 16), 'watches'],
  ['an event twice, later', watch(12, 13, 15, 16, 12), 'watches'],
  ['events in another order', watch(13, 12, 15, 16), 'watches'],
  ['an event from before the watch', watch(11, 12, 13, 15, 16), 'watches'],
  ['an event of another collection', watch(12, 13, 14, 15, 16), 'watches'],
  ['no event', watch(), 'watches'],
  ['an object that one API server does not list', { lists: [keys, keys.slice(1)] }, 'lists'],
  [
    'an object that an API server invents',
    { lists: [[...keys, rowOf('/registry/pods/load/x', 9)], keys] },
    'lists',
  ],
  ['an old object in a list', { lists: [[rowOf(keyOf(ONE), 13), ...keys.slice(1)], keys] }, 'lists'],
  ['an object that is no longer stored', { keys: keys.slice(1), lists: [keys.slice(1)] }, 'changed'],
  ['an acknowledged write that is not in the history', objects(POD, [14, 17]), 'unwritten'],
  ['an acknowledged write of another object', objects(POD, [12]), 'unwritten'],
  ['a write that was made twice', objects(ONE, [11, 13], 1), 'repeated'],
  ['a deletion that was not made', objects(ONE, [11, 13, 16], 2), 'repeated'],
  ['more writes than those with an unknown outcome', objects(ONE, [11], 1, 1), 'repeated'],
  ['a pod without its address', { ready: ['app-0 10.1.0.1', 'app-0 10.1.0.2'] }, 'addresses'],
  ['the address of a pod that is gone', { ready: [] }, 'addresses'],
])('%s is a failure', (_, more, kind) => {
  expect(kinds(more)).toEqual([kind])
})

test('a write with an unknown outcome may be in the history, or not', () => {
  expect(kinds(objects(ONE, [11, 13], 1, 1))).toEqual([])
  expect(kinds(objects(ONE, [11, 13, 16], 1, 1))).toEqual([])
})

test('objects have their keys, and each key is in one collection', () => {
  const paths = [
    ['/api/v1/namespaces/load/pods/a', '/registry/pods/load/a', '/api/v1/pods'],
    ['/api/v1/namespaces/load', '/registry/namespaces/load', '/api/v1/namespaces'],
    ['/api/v1/nodes/node-1', '/registry/minions/node-1', '/api/v1/nodes'],
    ['/api/v1/namespaces/apps/services/a', '/registry/services/specs/apps/a', '/api/v1/services'],
    [
      '/apis/apps/v1/namespaces/apps/deployments/a',
      '/registry/deployments/apps/a',
      '/apis/apps/v1/deployments',
    ],
  ] as const
  for (const [path, key, collection] of paths) {
    expect(keyOf(path)).toBe(key)
    for (const [, , other] of paths) expect(isIn(key, other)).toBe(other === collection)
  }
  expect(keyOf('/api/v1/pods', { namespace: 'load', name: 'a' })).toBe('/registry/pods/load/a')
  expect(keyOf('/api/v1/namespaces/load/pods', { namespace: 'load', name: 'a' })).toBe(
    '/registry/pods/load/a',
  )
  expect(isIn('/registry/pods/load-2/a', '/api/v1/namespaces/load/pods')).toBe(false)
})
