// The leases of copied keys. Each is granted in the target under its id, and kept alive there while it lives in the
// source. When it ends in the source, the source deletes its keys, and the migration copies that.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, QuorateError } from '../../client/index.ts'
import { TTL_MS_MAX } from '../../operations/forms/index.ts'

const CHECK_MS = 250
/** A lease is renewed when this share of its time to live has passed. */
const RENEW_SHARE = 1 / 3
const READS_AT_ONCE = 64
/** Pause before a grant is requested again whose outcome is unknown. */
const UNKNOWN_PAUSE_MS = 200
/** A renewal that takes longer is made again. */
const RENEW_MS_MAX = 2_000

interface CarriedLease {
  readonly ttlMs: number
  readonly renewAtMs: number
}

export class CarriedLeases {
  readonly #source: Client
  readonly #target: Client
  readonly #signal: AbortSignal
  readonly #timeoutMs: number
  /** Leases that the target has, by their ids. */
  readonly #carried = new Map<string, CarriedLease>()
  /** Leases that may have ended in the target alone, with their keys. */
  readonly #lost = new Set<string>()
  readonly #stop = new AbortController()
  #keeping: Promise<void> | undefined

  constructor(source: Client, target: Client, signal: AbortSignal, timeoutMs: number) {
    this.#source = source
    this.#target = target
    this.#timeoutMs = timeoutMs
    this.#signal = AbortSignal.any([signal, this.#stop.signal])
  }

  /** Keeps the leases alive until `stop`. */
  start(): void {
    this.#keeping = this.#keep()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#keeping
  }

  /** Whether the target has the lease now. false: it has ended in the source, which deletes its keys. */
  async carry(id: string): Promise<boolean> {
    if (this.#carried.has(id)) return true
    return (await this.#grant(id)) !== 'ended'
  }

  /**
   * For a lease that an interrupted run has carried: it may have ended in the target since. Or that run has granted it
   * again, and not put its keys.
   */
  async revive(id: string): Promise<void> {
    if ((await this.#grant(id)) !== 'ended') this.#lost.add(id)
  }

  /** The target does not have the lease. */
  lose(id: string): void {
    this.#carried.delete(id)
    this.#lost.add(id)
  }

  /** The leases of which the target may miss keys. */
  takeLost(): readonly string[] {
    const lost = [...this.#lost]
    this.#lost.clear()
    return lost
  }

  async #grant(id: string): Promise<'granted' | 'exists' | 'ended'> {
    const signal = this.#signal
    const lease = await this.#source.lease(id, { signal })
    if (lease === undefined) return 'ended'
    // In etcd a lease may live for longer.
    const grantedTtlMs = Math.min(lease.grantedTtlMs, TTL_MS_MAX)
    const deadlineMs = performance.now() + this.#timeoutMs
    for (;;) {
      try {
        const { ttlMs } = await this.#target.grantLease({ id, ttlMs: grantedTtlMs }, { signal })
        this.#register(id, ttlMs)
        return 'granted'
      } catch (error) {
        if (!(error instanceof QuorateError)) throw error
        if (error.code === 'lease_exists') {
          // It is renewed at once: it may be about to end.
          this.#carried.set(id, { ttlMs: grantedTtlMs, renewAtMs: 0 })
          return 'exists'
        }
        // Its id is chosen here, so it is granted once, however often this is requested.
        if (error.written !== 'unknown' || signal.aborted || performance.now() >= deadlineMs) throw error
        await sleep(UNKNOWN_PAUSE_MS, undefined, { signal })
      }
    }
  }

  #register(id: string, ttlMs: number): void {
    this.#carried.set(id, { ttlMs, renewAtMs: performance.now() + ttlMs * RENEW_SHARE })
  }

  async #keep(): Promise<void> {
    while (!this.#signal.aborted) {
      // A failure is that of the next calls of the migration as well.
      await this.#renewDue(performance.now()).catch(() => {})
      await sleep(CHECK_MS, undefined, { signal: this.#signal }).catch(() => {})
    }
  }

  /** Renews all leases if the target answers: those that have ended there are found. */
  async renewAll(): Promise<void> {
    await this.#renewDue(Number.POSITIVE_INFINITY).catch(() => {})
  }

  async #renewDue(nowMs: number): Promise<void> {
    const due = [...this.#carried].filter(([, { renewAtMs }]) => renewAtMs <= nowMs).map(([id]) => id)
    for (let at = 0; at < due.length; at += READS_AT_ONCE)
      await this.#renew(due.slice(at, at + READS_AT_ONCE))
  }

  async #renew(ids: readonly string[]): Promise<void> {
    const living = (await Promise.all(ids.map((id) => this.#isLiving(id)))).flatMap((id) => id ?? [])
    if (living.length === 0) return
    const options = { signal: this.#signal, timeoutMs: RENEW_MS_MAX }
    for (const { id, ttlMs } of await this.#target.keepLeasesAlive(living, options))
      if (ttlMs === undefined) this.lose(id)
      else this.#register(id, ttlMs)
  }

  /** Returns the id of a lease that lives in the source, and forgets one that has ended there. */
  async #isLiving(id: string): Promise<string | undefined> {
    try {
      const options = { signal: this.#signal, timeoutMs: RENEW_MS_MAX }
      if ((await this.#source.lease(id, options)) !== undefined) return id
      this.#carried.delete(id)
      return undefined
    } catch {
      // A source that does not answer does not end leases.
      return id
    }
  }
}
