// The graph of dependencies between transactions (Adya): an edge leads from one transaction to another that must come
// after it in every order that explains what was read.

import { Graph, PASS, REAL_TIME, RW, WR, WW } from './graph.ts'
import type { CheckedTransaction } from './transaction.ts'
import type { KeyVersions } from './versions.ts'

/** Why an edge is there. Versions are places in the versions of the key. */
export interface Fact {
  readonly key: KeyVersions
  /** The version that the first transaction wrote or read. */
  readonly from: number
  /** The version that the second one wrote; undefined: it is not known which. */
  readonly to: number | undefined
}

interface Dependencies {
  readonly graph: Graph
  readonly facts: readonly Fact[]
}

export function findDependencies(
  transactions: readonly CheckedTransaction[],
  keys: readonly KeyVersions[],
  inRealTime: boolean,
): Dependencies {
  const graph = new Graph(transactions.length)
  const facts: Fact[] = []
  const counts = countingOnes(transactions, keys)
  for (const key of keys) {
    const readers = collectReaders(key, counts, 'latest')
    // Overwrites come first: of several edges between two transactions, a search takes the first.
    linkInOrder(graph, key, readers, facts)
    linkReads(graph, key, collectReaders(key, counts, 'version'), facts)
    for (const { than, transactions: later } of key.later) {
      if (later.length === 0) continue
      const fact = facts.push({ key, from: than, to: undefined }) - 1
      linkToAll(graph, readers.get(than) ?? [], RW, later, fact)
      const writer = key.versions[than]?.writer
      if (writer !== undefined) linkToAll(graph, [writer], WW, later, fact)
    }
  }
  if (inRealTime) linkInTime(graph, transactions)
  return { graph, facts }
}

/**
 * A transaction of unknown outcome counts if something that it wrote was seen. If not, it may have ended without
 * effect, and what it read need not fit together.
 */
function countingOnes(transactions: readonly CheckedTransaction[], keys: readonly KeyVersions[]): Uint8Array {
  const counts = Uint8Array.from(transactions, ({ end }) => (end === Number.POSITIVE_INFINITY ? 0 : 1))
  for (const { versions } of keys)
    for (const { writer } of versions) if (writer !== undefined) counts[writer] = 1
  return counts
}

type Readers = ReadonlyMap<number, readonly number[]>

/** The transactions that read a version, or for which it is the latest that explains what they read. */
function collectReaders({ reads }: KeyVersions, counts: Uint8Array, which: 'version' | 'latest'): Readers {
  const readers = new Map<number, Set<number>>()
  for (const { transaction, [which]: version } of reads) {
    if (counts[transaction] === 0) continue
    const known = readers.get(version)
    if (known === undefined) readers.set(version, new Set([transaction]))
    else known.add(transaction)
  }
  return new Map([...readers].map(([version, all]) => [version, [...all]]))
}

function linkReads(graph: Graph, key: KeyVersions, readers: Readers, facts: Fact[]): void {
  for (const [version, all] of readers) {
    const writer = key.versions[version]?.writer
    if (writer === undefined) continue
    const fact = facts.push({ key, from: version, to: undefined }) - 1
    for (const reader of all) graph.link(writer, reader, WR, fact)
  }
}

/** Versions whose writer is not known are left out: what is before them is before what follows them. */
function linkInOrder(graph: Graph, key: KeyVersions, readers: Readers, facts: Fact[]): void {
  let next: { readonly writer: number; readonly place: number } | undefined
  for (let place = key.versions.length - 1; place >= 0; place--) {
    const writer = key.versions[place]?.writer
    if (next !== undefined) {
      const fact = facts.push({ key, from: place, to: next.place }) - 1
      if (writer !== undefined) graph.link(writer, next.writer, WW, fact)
      for (const reader of readers.get(place) ?? []) graph.link(reader, next.writer, RW, fact)
    }
    if (writer !== undefined) next = { writer, place }
  }
}

/**
 * An edge from each to each other. Two chains of nodes lead to the ones before and after a place in the list, so that
 * nothing gets an edge to itself.
 */
function linkToAll(
  graph: Graph,
  from: readonly number[],
  kind: number,
  to: readonly number[],
  fact: number,
): void {
  const versionPlace = new Map(to.map((transaction, place) => [transaction, place]))
  const chain = (order: readonly number[]): number[] => {
    let before: number | undefined
    return order.map((transaction) => {
      const node = graph.add()
      graph.link(node, transaction, PASS)
      if (before !== undefined) graph.link(node, before, PASS)
      before = node
      return node
    })
  }
  const upTo = chain(to)
  const fromOn = chain([...to].reverse()).reverse()
  for (const one of from) {
    const place = versionPlace.get(one)
    const targets = place === undefined ? [fromOn[0]] : [upTo[place - 1], fromOn[place + 1]]
    for (const target of targets) if (target !== undefined) graph.link(one, target, kind, fact)
  }
}

/** Starts and ends in their order. A node stands for each moment at which some have ended and others begin. */
function linkInTime(graph: Graph, transactions: readonly CheckedTransaction[]): void {
  const ended = transactions
    .map(({ end }, transaction) => ({ end, transaction }))
    .filter(({ end }) => end !== Number.POSITIVE_INFINITY)
    .sort((a, b) => a.end - b.end)
  let moment: number | undefined
  let place = 0
  for (const [transaction, { start }] of transactions.entries()) {
    let now: number | undefined
    for (let one = ended[place]; one !== undefined && one.end < start; one = ended[place]) {
      if (now === undefined) {
        now = graph.add()
        if (moment !== undefined) graph.link(moment, now, PASS)
      }
      graph.link(one.transaction, now, REAL_TIME)
      place += 1
    }
    moment = now ?? moment
    if (moment !== undefined) graph.link(moment, transaction, PASS)
  }
}
