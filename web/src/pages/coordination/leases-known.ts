// How long leases still live. The page counts down by itself, and asks again when a lease should have been renewed.

import { signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import { type LeaseDescription, parseLeaseId } from '../../../../src/operations/forms/leases.ts'
import type { LeaseId } from '../../../../src/operations/forms/store.ts'
import { listLeases } from '../../../../src/operations/list-leases.ts'
import { run } from '../../cluster/connection.ts'
import { pageFreshness, readsStale } from '../../cluster/freshness.ts'

export interface KnownLease extends LeaseDescription {
  /** A time of `Date.now()`. */
  readonly readAt: number
}

/** Leases by id. Nothing is known of one that is not in it. */
export type KnownLeases = ReadonlyMap<LeaseId, KnownLease | 'ended'>

const PAGE = 1_000
/** So few leases are read one by one. */
const FEW = 8
/** Requests for one set of leases. */
const READS_MAX = 16
const STEP_MS = 2_000
/** The least pause while nobody sees the page. */
const HIDDEN_STEP_MS = 10_000
/** Clients renew a lease after a third of its time. */
const RENEWED_SHARE = 0.6

/** The time, which counts in steps of a quarter of a second while the page is shown. */
export const clock = signal(Date.now())

export function useClock(): void {
  useEffect(() => {
    const timer = setInterval(() => {
      clock.value = Date.now()
    }, 250)
    return () => clearInterval(timer)
  }, [])
}

export const timeLeft = ({ remainingTtlMs, readAt }: KnownLease, now: number): number =>
  Math.max(0, remainingTtlMs - (now - readAt))

/** Reads the list of leases where the wanted ones are: it is in the order of their ids. */
export async function readLeases(wanted: readonly LeaseId[], signal: AbortSignal): Promise<KnownLeases> {
  const ids = [...new Set(wanted)].map(BigInt).sort((a, b) => (a < b ? -1 : 1))
  const limit = ids.length <= FEW ? 1 : PAGE
  const known = new Map<LeaseId, KnownLease | 'ended'>()
  let at = 0
  for (let reads = 0; at < ids.length && reads < READS_MAX; reads++) {
    const before = (ids[at] ?? 1n) - 1n
    const after = before === 0n ? undefined : parseLeaseId(String(before), 'the lease')
    const { result } = await run(
      listLeases,
      { kind: 'list-leases', after, limit, freshness: pageFreshness() },
      { signal },
    )
    const readAt = Date.now()
    for (const lease of result.leases) known.set(lease.id, { ...lease, readAt })
    const last = result.leases.at(-1)
    const end = result.more && last !== undefined ? BigInt(last.id) : undefined
    while (at < ids.length && (end === undefined || (ids[at] ?? 0n) <= end)) at++
  }
  for (const id of ids.slice(0, at).map((each) => parseLeaseId(String(each), 'the lease')))
    if (!known.has(id)) known.set(id, 'ended')
  return known
}

/** Keeps what is known of the leases that are shown. undefined: nothing was read yet. */
export function useLeases(ids: readonly LeaseId[]): KnownLeases | undefined {
  const [known, setKnown] = useState<KnownLeases>()
  const names = ids.join()
  useEffect(() => {
    if (ids.length === 0) return
    const ended = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async (): Promise<void> => {
      let waitMs = STEP_MS
      try {
        const found = await readLeases(ids, ended.signal)
        setKnown(found)
        waitMs = Math.max(STEP_MS, untilRenewed(ids, found))
      } catch {
        // The read of the keys says what is wrong.
      }
      if (document.visibilityState === 'hidden') waitMs = Math.max(waitMs, HIDDEN_STEP_MS)
      if (!ended.signal.aborted) timer = setTimeout(() => void read(), waitMs)
    }
    void read()
    return () => {
      ended.abort()
      clearTimeout(timer)
    }
  }, [names, readsStale.value])
  return known
}

/** The time after which one of the leases should have been renewed. */
const untilRenewed = (ids: readonly LeaseId[], known: KnownLeases): number =>
  Math.min(
    ...ids.map((id) => {
      const lease = known.get(id)
      return lease === undefined || lease === 'ended'
        ? Infinity
        : lease.remainingTtlMs - RENEWED_SHARE * lease.grantedTtlMs
    }),
    600_000,
  )
