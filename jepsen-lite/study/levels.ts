// The levels of consistency that the store offers, strongest first, and what a client has to send to get each. A client
// is named after its level and its side of the partition, so that a history tells on its own who asked for what from
// where.

import type { Operation, Result } from '../history.ts'

export const LEVELS = ['write', 'linearizable', 'lease', 'token', 'bounded', 'session', 'stale'] as const
export type Level = (typeof LEVELS)[number]

export const SIDES = ['minority', 'majority'] as const
export type Side = (typeof SIDES)[number]

interface Meaning {
  /** What is sent. */
  readonly asks: string
  readonly promise: string
}

export const MEANINGS: Readonly<Record<Level, Meaning>> = {
  write: {
    asks: 'PUT',
    promise: 'acknowledged once, it stands for ever, and every linearizable read that begins later shows it',
  },
  linearizable: {
    asks: 'GET (the default)',
    promise: 'shows every write that was acknowledged before the read began, on whichever node',
  },
  lease: {
    asks: 'GET ?consistency=lease',
    promise: 'the same, as long as the clocks of the nodes run equally fast within 5 %',
  },
  token: {
    asks: 'GET ?consistency=stale&min_revision=R, R the highest that anybody was told of',
    promise: 'shows every write up to R',
  },
  bounded: {
    asks: 'GET ?consistency=stale&max_staleness=…',
    promise: 'shows every write that had been acknowledged for that long when the read began',
  },
  session: {
    asks: 'GET ?consistency=stale&min_revision=R, R the highest that this client was told of',
    promise: 'never shows this client less than it was shown before',
  },
  stale: {
    asks: 'GET ?consistency=stale',
    promise: 'shows what the store once was, and says how old that may be',
  },
}

/**
 * These promise that an answer shows every write acknowledged before: the search of the checker judges them as they
 * are.
 */
export const STRICT: ReadonlySet<Level> = new Set(['write', 'linearizable', 'lease'])

/** What a client of a level knows when it asks. */
export interface Knowledge {
  /** The highest revision that any client was told of, on whichever side: as if that client had handed it on. */
  readonly newest: number | undefined
  /** The highest revision that this client itself was shown. */
  readonly seen: number | undefined
  readonly maxStalenessMs: number
  /** Written by nobody else. */
  readonly value: string
}

export function operationOf(level: Level, key: string, knowledge: Knowledge): Operation {
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
export const revisionIn = ({ revision, modRevision }: Result): number | undefined => revision ?? modRevision

export const clientName = (level: Level, side: Side, number: number): string => `${level} ${side} ${number}`

/** undefined: not a client of a study. */
export function streamOf(
  client: string | number,
): { readonly level: Level; readonly side: Side } | undefined {
  const [first, second] = String(client).split(' ')
  const level = LEVELS.find((name) => name === first)
  const side = SIDES.find((name) => name === second)
  return level === undefined || side === undefined ? undefined : { level, side }
}
