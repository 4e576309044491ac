// The input of a generator of watches and its report. Many watchers wait, spread over connections; then puts are
// due at fixed times, and each event is counted and timed.

import type { Over } from './load.ts'

export interface WatchLoad {
  readonly over: Over
  /** Connection n leads to the endpoint of number n modulo how many there are. */
  readonly endpoints: readonly string[]
  readonly connections: number
  /** Watcher n watches the key of number n modulo `watched_keys`, on connection n modulo `connections`. */
  readonly watchers: number
  readonly watched_keys: number
  /** Puts a second, of random watched keys, in an open loop. */
  readonly rate: number
  readonly value_bytes: number
  readonly warmup_seconds: number
  readonly seconds: number
}

export interface WatchReport {
  /** Puts that were answered, of those counted: due after the warm-up. */
  readonly puts: number
  /** Their events, at all watchers. */
  readonly events: number
  /** Events that have not come at a watcher within ten seconds after the end. */
  readonly missing: number
  /** From when the put was due to its event. */
  readonly p50_ms: number
  readonly p99_ms: number
  readonly p999_ms: number
  readonly max_ms: number
  readonly errors: Readonly<Record<string, number>>
  /** CPU time of the generator in that time. */
  readonly cpu_us: number
}

/** Watchers of the key with this number. */
export const watchersOf = (key: number, { watchers, watched_keys }: WatchLoad): number =>
  Math.floor((watchers - 1 - key) / watched_keys) + 1

/** Line that it prints when all watchers exist. It continues when it reads another line. */
export const WATCHING = 'watching'
/** After the end it waits so long for events. */
export const LAST_EVENTS_MS = 10_000
