// Client-side load balancing over the instances of a service (registry.ts), from memory.
//
// Promise: `resolve` chooses among the instances of the last read. When the registry is unreachable it continues with
// those, and `confirmedMsAgo` and `isStale` say how old they may be.
//
// Limits: the number of connections is that of this resolver. Instances for which `failed` was called are left out for
// `failedMs`, as long as another one is left.
//
// Invariant of weighted round robin: each instance covers a distance of 1 between two turns, at the speed of its
// weight. So a new weight applies from then on, and no earlier turn is made up for.

import { type Client, type KvRecord, UnavailableError } from '../client/index.ts'
import { checkOptions, isFunction, isOneOf, isTimeout } from '../client/validators.ts'
import { RangeView } from './range-view.ts'
import type { Instance } from './registration.ts'
import { runUserCallback } from './run-user-callback.ts'
import { pause } from './watch-helpers.ts'

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
  /** Called when the registry could not be read, and for a foreign key of the service. */
  readonly onError?: ((error: unknown) => void) | undefined
}

export interface Resolved extends Instance {
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
  /** undefined: the service has no instance. Throws if nothing was read within `timeoutMs`. */
  resolve(): Promise<Resolved | undefined>
  /** The last known instances. */
  readonly instances: readonly Instance[]
  readonly confirmedMsAgo: number
  close(): Promise<void>
}

export const checkResolver = (options: ResolverOptions): void =>
  checkOptions('registry.resolver', options, {
    strategy: isOneOf('round-robin', 'least-connections'),
    ...{ confirmMs: isTimeout, staleMs: isTimeout, failedMs: isTimeout, timeoutMs: isTimeout },
    onError: isFunction,
  })

/** State of one instance in this resolver. */
interface Usage {
  /** Distance to its next turn, from 0 to 1. A new instance begins half-way, which is fair on average. */
  distance: number
  connections: number
  /** End of the time for which it is left out, by `performance.now()`. */
  failedUntil: number
}

export function startResolver(
  kv: Pick<Client, 'txn' | 'watch'>,
  prefix: Uint8Array,
  instancesIn: (records: readonly KvRecord[]) => readonly Instance[],
  options: ResolverOptions,
): Resolver {
  const { strategy, confirmMs = CONFIRM_MS, staleMs = STALE_MS, failedMs = FAILED_MS, onError } = options
  const { timeoutMs = TIMEOUT_MS } = options
  let instances: readonly Instance[] = []
  let lastError: unknown
  const usages = new Map<string, Usage>()
  const usageOf = ({ id }: Instance): Usage => {
    const usage = usages.get(id) ?? { distance: 0.5, connections: 0, failedUntil: 0 }
    usages.set(id, usage)
    return usage
  }
  const view = new RangeView(kv, {
    range: { prefix },
    confirmMs,
    onContent: ({ records }) => {
      instances = instancesIn(records)
      const ids = new Set(instances.map(({ id }) => id))
      for (const [id, { connections }] of usages) if (!ids.has(id) && connections === 0) usages.delete(id)
    },
    onError: (error) => {
      lastError = error
      runUserCallback(() => onError?.(error))
    },
  })

  async function firstRead(): Promise<void> {
    const over = new AbortController()
    await Promise.race([view.ready, pause(timeoutMs, over.signal)]).finally(() => over.abort())
    if (view.isRead) return
    throw new UnavailableError(`the registry could not be read within ${timeoutMs} ms`, {
      code: 'timeout',
      written: 'no',
      cause: lastError,
    })
  }

  function choose(): Instance | undefined {
    const now = performance.now()
    const working = instances.filter((each) => usageOf(each).failedUntil <= now)
    const usable = working.length > 0 ? working : instances
    const isWeighted = usable.some(({ weight }) => weight > 0)
    const weightOf = ({ weight }: Instance) => (isWeighted ? weight : 1)
    const weighted = usable.filter((each) => weightOf(each) > 0)
    if (strategy !== 'least-connections') return nextTurn(weighted, weightOf)
    const loadOf = (each: Instance) => usageOf(each).connections / weightOf(each)
    const least = Math.min(...weighted.map(loadOf))
    return nextTurn(
      weighted.filter((each) => loadOf(each) === least),
      weightOf,
    )
  }

  /** All move until the first one has covered its distance. */
  function nextTurn(candidates: readonly Instance[], weightOf: (each: Instance) => number) {
    const timeOf = (each: Instance) => usageOf(each).distance / weightOf(each)
    const [chosen] = candidates.toSorted((a, b) => timeOf(a) - timeOf(b))
    if (chosen === undefined) return undefined
    const time = timeOf(chosen)
    for (const each of candidates) {
      const usage = usageOf(each)
      usage.distance = Math.max(0, usage.distance - time * weightOf(each))
    }
    usageOf(chosen).distance = 1
    return chosen
  }

  return {
    resolve: async () => {
      if (!view.isRead) await firstRead()
      const chosen = choose()
      if (chosen === undefined) return undefined
      const usage = usageOf(chosen)
      usage.connections += 1
      let isOpen = true
      const release = () => {
        if (isOpen) usage.connections -= 1
        isOpen = false
      }
      const { confirmedMsAgo } = view
      const failed = () => {
        release()
        usage.failedUntil = performance.now() + failedMs
      }
      return { ...chosen, confirmedMsAgo, isStale: confirmedMsAgo > staleMs, release, failed }
    },
    get instances() {
      return instances
    },
    get confirmedMsAgo() {
      return view.confirmedMsAgo
    },
    close: () => view.close(),
    [Symbol.asyncDispose]: () => view.close(),
  }
}
