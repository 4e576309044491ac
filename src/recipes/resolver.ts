// Client-side load balancing over the instances of a service (registry.ts), from memory.
//
// Promise: `resolve` chooses among the instances of the last read. When the registry is unreachable it continues with
// those, and `confirmedMsAgo` and `isStale` say how old they may be.
//
// Limits: the number of connections is that of this resolver. Instances for which `failed` was called are left out for
// `failedMs`, as long as another one is left.
//
// Weighted round robin: each turn raises the credit of every instance by its weight, and the one with the highest
// credit gets the turn and pays the sum of all weights. A change of instances or weights begins a new count.

import { type CallOptions, type Client, type KvRecord, UnavailableError } from '../client/index.ts'
import { pause } from '../client/timer.ts'
import { checkOptions, choiceCheck, functionCheck, timeoutCheck } from '../client/validators.ts'
import { abortedError, CALL_OPTIONS } from './option-checks.ts'
import { RangeView } from './range-view.ts'
import type { Instance } from './registration.ts'
import { runUserCallback } from './run-user-callback.ts'
import { anySignal } from './watch-helpers.ts'

const CONFIRM_MS = 10_000
const STALE_MS = 15_000
const FAILED_MS = 5_000
const TIMEOUT_MS = 5_000

export interface ResolverOptions {
  /** Default 'round-robin', by weight. */
  readonly strategy?: 'round-robin' | 'least-connections' | undefined
  /** Maximum time between two reads of the instances. Default 10,000. */
  readonly confirmMs?: number | undefined
  /** Instances that were confirmed longer ago are stale. Default 15,000. */
  readonly staleMs?: number | undefined
  /** How long `failed` leaves an instance out. Default 5,000. */
  readonly failedMs?: number | undefined
  /** How long `resolve` waits for the first read. Default 5,000. */
  readonly timeoutMs?: number | undefined
  /** Called when the registry could not be read. */
  readonly onError?: ((error: unknown) => void) | undefined
}

export interface ResolvedInstance extends Instance {
  /** Upper bound on the age of the instances. */
  readonly confirmedMsAgo: number
  /** The age is above `staleMs`: the registry is unreachable, and these are the last known instances. */
  readonly isStale: boolean
  /** The connection has ended; for least connections. */
  release(): void
  /** The instance could not be used. */
  failed(): void
}

export interface Resolver extends AsyncDisposable {
  /**
   * undefined: the service has no instance. Throws if nothing was read within `timeoutMs`, by default that of the
   * resolver.
   */
  resolve(options?: CallOptions): Promise<ResolvedInstance | undefined>
  /** The last known instances. */
  readonly instances: readonly Instance[]
  readonly confirmedMsAgo: number
  close(): Promise<void>
}

export const checkResolver = (options: ResolverOptions): void =>
  checkOptions('registry.resolver', options, {
    strategy: choiceCheck('round-robin', 'least-connections'),
    confirmMs: timeoutCheck,
    staleMs: timeoutCheck,
    failedMs: timeoutCheck,
    timeoutMs: timeoutCheck,
    onError: functionCheck,
  })

/** An instance, and its state in this resolver. */
interface Candidate {
  instance: Instance
  /** Turns that it is owed: its weight for each turn, less the sum of the weights for each of its own turns. */
  credit: number
  connections: number
  /** End of the time for which it is left out, by `performance.now()`. */
  failedUntil: number
}

export function startResolver(
  kv: Pick<Client, 'txn' | 'watch'>,
  prefix: Uint8Array,
  parseInstances: (records: readonly KvRecord[]) => readonly Instance[],
  options: ResolverOptions,
): Resolver {
  const { strategy, confirmMs = CONFIRM_MS, staleMs = STALE_MS, failedMs = FAILED_MS, onError } = options
  const { timeoutMs = TIMEOUT_MS } = options
  let candidates: readonly Candidate[] = []
  let weights = ''
  let lastError: unknown
  const view = new RangeView(kv, {
    range: { prefix },
    confirmMs,
    onContent: ({ records }) => {
      const known = new Map(candidates.map((each) => [each.instance.id, each]))
      candidates = parseInstances(records).map((instance) => {
        const candidate = known.get(instance.id) ?? { instance, credit: 0, connections: 0, failedUntil: 0 }
        return Object.assign(candidate, { instance })
      })
      const before = weights
      weights = JSON.stringify(candidates.map(({ instance: { id, weight } }) => [id, weight]))
      if (weights !== before) for (const each of candidates) each.credit = 0
    },
    onError: (error) => {
      lastError = error
      runUserCallback(() => onError?.(error))
    },
  })

  async function firstRead(signal: AbortSignal | undefined, limitMs: number): Promise<void> {
    const over = new AbortController()
    const limit = anySignal(over.signal, signal)
    await Promise.race([view.ready, pause(limitMs, limit)]).finally(() => over.abort())
    if (signal?.aborted === true) throw abortedError(signal, 'resolver.resolve')
    if (view.isRead) return
    throw new UnavailableError(`the registry could not be read within ${limitMs} ms`, {
      code: 'timeout',
      written: 'no',
      cause: lastError,
    })
  }

  function choose(): Candidate | undefined {
    const working = candidates.filter(({ failedUntil }) => failedUntil <= performance.now())
    const usable = working.length > 0 ? working : candidates
    const isWeighted = usable.some(({ instance }) => instance.weight > 0)
    const effectiveWeight = ({ instance }: Candidate) => (isWeighted ? instance.weight : 1)
    const connectionLoad = (each: Candidate) =>
      strategy === 'least-connections' ? each.connections / effectiveWeight(each) : 0
    const weighted = usable.filter((each) => effectiveWeight(each) > 0)
    const least = Math.min(...weighted.map(connectionLoad))
    const equal = weighted.filter((each) => connectionLoad(each) === least)
    for (const each of equal) each.credit += effectiveWeight(each)
    const [chosen] = equal.toSorted((a, b) => b.credit - a.credit)
    if (chosen !== undefined) chosen.credit -= equal.reduce((sum, each) => sum + effectiveWeight(each), 0)
    return chosen
  }

  return {
    resolve: async (call = {}) => {
      checkOptions('resolver.resolve', call, CALL_OPTIONS)
      if (call.signal?.aborted === true) throw abortedError(call.signal, 'resolver.resolve')
      if (!view.isRead) await firstRead(call.signal, call.timeoutMs ?? timeoutMs)
      const chosen = choose()
      if (chosen === undefined) return undefined
      chosen.connections += 1
      let isOpen = true
      const release = () => {
        if (isOpen) chosen.connections -= 1
        isOpen = false
      }
      const failed = () => {
        release()
        chosen.failedUntil = performance.now() + failedMs
      }
      const { confirmedMsAgo } = view
      return { ...chosen.instance, confirmedMsAgo, isStale: confirmedMsAgo > staleMs, release, failed }
    },
    get instances() {
      return candidates.map(({ instance }) => instance)
    },
    get confirmedMsAgo() {
      return view.confirmedMsAgo
    },
    close: () => view.close(),
    [Symbol.asyncDispose]: () => view.close(),
  }
}
