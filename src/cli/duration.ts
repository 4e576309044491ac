// Durations: a number with ms, s, m or h.

import { InvalidArgumentError } from '@commander-js/extra-typings'

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
const TIMING_MS_MAX = 30 * 60_000
const STALENESS_MS_MAX = 24 * 3_600_000

/** Milliseconds. */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)$/.exec(text.trim()) ?? []
  const unitMs = UNIT_MS[unit ?? '']
  if (amount === undefined || unitMs === undefined) {
    throw new InvalidArgumentError('A duration is a number with ms, s, m or h, like 500ms or 5s.')
  }
  return Number(amount) * unitMs
}

/** A duration above 0. */
export function parseTimeout(text: string): number {
  const ms = parseDuration(text)
  if (ms < 1) throw new InvalidArgumentError('It must be at least 1ms.')
  return ms
}

/** The intervals of heartbeats and elections (drawn from one to two election time-outs), within a node's limits. */
export function parseTiming(text: string): number {
  const ms = parseDuration(text)
  if (!(ms >= 1 && ms <= TIMING_MS_MAX)) throw new InvalidArgumentError('It must be from 1ms to 30m.')
  return ms
}

/** How old a stale read may be, within a node's limits. */
export function parseStaleness(text: string): number {
  const ms = parseDuration(text)
  if (!(ms > 0 && ms <= STALENESS_MS_MAX)) throw new InvalidArgumentError('It must be above 0 and up to 24h.')
  return ms
}

export function formatMs(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`
}
