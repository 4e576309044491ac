// The levels of consistency that the store offers, strongest first, and what a client has to send to get each. The name
// of a client contains its level and its side of the partition, so a history alone shows the level and the side of each
// request.

import type { HistoryOperation, RecordedResult } from '../workload/history.ts'

export const LEVELS = ['write', 'linearizable', 'lease', 'token', 'bounded', 'session', 'stale'] as const
export type Level = (typeof LEVELS)[number]

export const SIDES = ['minority', 'majority'] as const
export type PartitionSide = (typeof SIDES)[number]

interface LevelDescription {
  /** The request. */
  readonly request: string
  readonly promise: string
}

export const MEANINGS: Readonly<Record<Level, LevelDescription>> = {
  write: {
    request: 'PUT',
    promise:
      'an acknowledged write is not lost; every linearizable read that begins later shows it, or a newer one',
  },
  linearizable: {
    request: 'GET (the default)',
    promise: 'shows every write that was acknowledged before the read began, on any node',
  },
  lease: {
    request: 'GET ?consistency=lease',
    promise: 'the same, if the clocks of the nodes run at the same speed within 5 % and never stop',
  },
  token: {
    request: 'GET ?consistency=stale&min_revision=R; R is the highest revision that any client has seen',
    promise: 'shows every write up to revision R',
  },
  bounded: {
    request: 'GET ?consistency=stale&max_staleness=…',
    promise: 'shows every write that had been acknowledged for at least max_staleness when the read began',
  },
  session: {
    request: 'GET ?consistency=stale&min_revision=R; R is the highest revision that this client has seen',
    promise: 'never shows this client an older state than it has seen before',
  },
  stale: {
    request: 'GET ?consistency=stale',
    promise: 'shows a state that the store has had, with an upper bound on its age if the node can prove one',
  },
}

/**
 * These levels promise that an answer shows every write that was acknowledged before. The checker judges them as they
 * are.
 */
export const STRICT: ReadonlySet<Level> = new Set(['write', 'linearizable', 'lease'])

/** Knowledge of a client of a level when it sends a request. */
interface Knowledge {
  /** The highest revision that any client on either side has seen, as if that client had passed it on. */
  readonly newest: number | undefined
  /** The highest revision that this client itself has seen. */
  readonly seen: number | undefined
  readonly maxStalenessMs: number
  /** A value that no other write has. */
  readonly value: string
}

export function levelOperation(level: Level, key: string, knowledge: Knowledge): HistoryOperation {
  const { newest, seen, maxStalenessMs, value } = knowledge
  switch (level) {
    case 'write':
      return { f: 'put', key, value }
    case 'linearizable':
      return { f: 'get', key }
    case 'lease':
      return { f: 'get', key, consistency: 'lease' }
    case 'token':
      return { f: 'get', key, consistency: 'stale', ...atLeast(newest) }
    case 'bounded':
      return { f: 'get', key, consistency: 'stale', maxStalenessMs }
    case 'session':
      return { f: 'get', key, consistency: 'stale', ...atLeast(seen) }
    case 'stale':
      return { f: 'get', key, consistency: 'stale' }
  }
}

const atLeast = (minRevision: number | undefined): { minRevision?: number } =>
  minRevision === undefined ? {} : { minRevision }

/** The revision that an answer shows, or that a write has made. */
export const resultRevision = ({ revision, modRevision }: RecordedResult): number | undefined =>
  revision ?? modRevision

export const clientName = (level: Level, side: PartitionSide, number: number): string =>
  `${level} ${side} ${number}`

/** Returns undefined if the client is not one of a study. */
export function parseStreamName(
  client: string | number,
): { readonly level: Level; readonly side: PartitionSide } | undefined {
  const [first, second] = String(client).split(' ')
  const level = LEVELS.find((name) => name === first)
  const side = SIDES.find((name) => name === second)
  return level === undefined || side === undefined ? undefined : { level, side }
}
