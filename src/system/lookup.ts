// DNS lookups of host names. The system does them in threads of the process, at most two at a time, and a lookup cannot
// be cancelled. With a nameserver that does not answer, each takes 5 s or more, which is longer than one attempt to
// connect. So an attempt uses the answer to an earlier attempt's lookup. If each attempt did a new lookup, none would
// ever connect, and the lookups of other names would wait behind these.

import dns, { type LookupAddress } from 'node:dns'
import type { LookupFunction } from 'node:net'

/**
 * An answer that took longer than SLOW_MS is kept for KEEP_MS: the caller may have given up, and tries again a little
 * later.
 */
const SLOW_MS = 100
const KEEP_MS = 5_000

type LookupCallback = (error: Error | null, addresses: readonly LookupAddress[]) => void

/** The callbacks that wait for the lookup of each name. */
const inFlight = new Map<string, LookupCallback[]>()
const known = new Map<string, { readonly addresses: readonly LookupAddress[]; readonly until: number }>()

/** Lookup for `connect` and `request`, with at most one lookup of a name in flight. */
export const lookup: LookupFunction = (host, { all, ...options }, done) => {
  const found: LookupCallback = (error, addresses) => {
    const [first] = addresses
    if (error !== null || first === undefined) done(error ?? new Error(`${host} has no address`), [])
    else if (all === true) done(null, [...addresses])
    else done(null, first.address, first.family)
  }
  const before = known.get(host)
  if (before !== undefined && performance.now() < before.until) {
    process.nextTick(found, null, before.addresses)
    return
  }
  const waiting = inFlight.get(host)
  if (waiting !== undefined) {
    waiting.push(found)
    return
  }
  const pending = [found]
  inFlight.set(host, pending)
  const askedAt = performance.now()
  dns.lookup(host, { ...options, all: true }, (error, addresses) => {
    inFlight.delete(host)
    const now = performance.now()
    if (error === null && now - askedAt > SLOW_MS) known.set(host, { addresses, until: now + KEEP_MS })
    else known.delete(host)
    for (const each of pending) each(error, addresses ?? [])
  })
}
