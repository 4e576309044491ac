// The history of a control plane in the store, and the comparison with what API servers have acknowledged, listed and
// sent to watches.

import type { KubeEvent, KubeObject } from './api.ts'
import type { Ledger } from './ledger.ts'
import { CHANGED } from './load.ts'

/** A watch of an API server, and all that it has received. */
export interface WatchedCollection {
  readonly path: string
  /** The revision after which it begins. */
  readonly from: number
  readonly events: readonly KubeEvent[]
}

interface AtTheEnd {
  readonly history: History
  /** The collections that are compared. */
  readonly collections: readonly string[]
  /** Acknowledged writes. */
  readonly objects: Ledger['objects']
  /** The stored objects, as rows. */
  readonly keys: readonly string[]
  /** The objects that each API server lists, as rows. */
  readonly lists: readonly (readonly string[])[]
  readonly watches: readonly WatchedCollection[]
  /** The addresses of each service, and those of its pods that are ready. */
  readonly published: readonly string[]
  readonly ready: readonly string[]
}

/** Failures of each kind that are shown. */
const SHOWN_MAX = 5

/** Everything that was lost or invented, by kind. */
export function failuresOf(end: AtTheEnd): Readonly<Record<string, readonly unknown[]>> {
  const { history, collections, objects, keys, lists, watches, published, ready } = end
  const all: Readonly<Record<string, readonly unknown[]>> = {
    // Stored, and not listed as it is, or listed, and not stored so.
    lists: lists.flatMap((list) => difference(list, keys)),
    // In the history, and no longer in the store as it was written last.
    changed: difference(history.rows(collections), keys),
    // Acknowledged, and not in the history under its resource version.
    unwritten: [...objects].flatMap(([path, { revisions }]) =>
      [...revisions].filter((at) => history.keyAt(at) !== keyOf(path)).map((at) => [path, at]),
    ),
    // Written more often than was acknowledged or left open.
    repeated: [...objects]
      .filter(([path]) => path.includes(`/${CHANGED}`))
      .filter(([path, { revisions, deletes, unknown }]) => {
        const acknowledged = revisions.size + deletes
        const written = history.revisionsOf(path).length
        return written < acknowledged || written > acknowledged + unknown
      }),
    // Other events of a watch than those of the history, or in another order.
    watches: watches.filter(
      (each) =>
        String(each.events.map(({ object }) => Number(object.metadata.resourceVersion))) !==
        String(history.revisionsFor(each)),
    ),
    // Pods that are ready, and are not in the slices of their service, or the other way round.
    addresses: difference(published, ready),
  }
  const found = Object.entries(all).filter(([, failures]) => failures.length > 0)
  return Object.fromEntries(found.map(([kind, failures]) => [kind, failures.slice(0, SHOWN_MAX)]))
}

/** All changes of the API servers' keys, as a watch on quorate has them. */
export class History {
  /** A transaction of an API server changes one key. */
  readonly #keys = new Map<number, string>()
  /** The last revision of each key; undefined: it is deleted. */
  readonly #last = new Map<string, number | undefined>()
  reached = 0

  get size(): number {
    return this.#keys.size
  }

  add(key: string, revision: number, isDeleted: boolean): void {
    this.#keys.set(revision, key)
    this.#last.set(key, isDeleted ? undefined : revision)
  }

  keyAt(revision: number): string | undefined {
    return this.#keys.get(revision)
  }

  /** The changes of an object, in order. */
  revisionsOf(path: string): readonly number[] {
    return [...this.#keys].filter(([, key]) => key === keyOf(path)).map(([revision]) => revision)
  }

  /** The changes of a collection, in order. */
  revisionsIn(path: string): readonly number[] {
    return [...this.#keys].filter(([, key]) => isIn(key, path)).map(([revision]) => revision)
  }

  /** The changes that a watch has to receive, in order. */
  revisionsFor({ path, from }: Pick<WatchedCollection, 'path' | 'from'>): readonly number[] {
    return this.revisionsIn(path).filter((at) => at > from)
  }

  /** The objects of collections as they are now. */
  rows(collections: readonly string[]): readonly string[] {
    return [...this.#last]
      .flatMap(([key, revision]) => (revision === undefined ? [] : [{ key, revision }]))
      .filter(({ key }) => collections.some((path) => isIn(key, path)))
      .map(({ key, revision }) => rowOf(key, revision))
      .sort()
  }
}

export const rowOf = (key: string, revision: number): string => `${key},${revision}`

/** The elements that only one of them has. */
export function difference(some: readonly string[], others: readonly string[]): readonly string[] {
  const [left, right] = [new Set(some), new Set(others)]
  return [...some.filter((each) => !right.has(each)), ...others.filter((each) => !left.has(each))]
}

/** Names of collections in the store, where they are not those of the API. */
const STORED: Readonly<Record<string, string>> = { nodes: 'minions', services: 'services/specs' }

/** The key of the object at a path, or of one of the collection at it. */
export function keyOf(path: string, { namespace, name }: Partial<KubeObject['metadata']> = {}): string {
  const parts = path.split('/').slice(path.startsWith('/api/') ? 3 : 4)
  const isInNamespace = parts[0] === 'namespaces' && parts.length > 2
  const [resource = '', inPath] = isInNamespace ? parts.slice(2) : parts
  const of = [namespace ?? (isInNamespace ? parts[1] : undefined), name ?? inPath]
  return ['/registry', STORED[resource] ?? resource, ...of].filter((part) => part !== undefined).join('/')
}

/** Whether a key is one of the collection. */
export const isIn = (key: string, collection: string): boolean => key.startsWith(`${keyOf(collection)}/`)
