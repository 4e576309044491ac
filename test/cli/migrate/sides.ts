// Two clusters of one node. Through its etcd API, one of them serves as a cluster of etcd.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll } from 'vitest'
import {
  type MigrationEvent,
  type MigrationOptions,
  type MigrationResult,
  migrate,
} from '../../../src/cli/migrate/migration.ts'
import { TargetLimits } from '../../../src/cli/migrate/target-limits.ts'
import {
  type Client,
  type LeaseOptions,
  type ListOptions,
  OutcomeUnknownError,
  QuorateError,
  type Txn,
  type TxnOptions,
  type Watch,
  type WatchOptions,
} from '../../../src/client/index.ts'
import { type EmbeddedCluster, startCluster } from '../../../src/embed/index.ts'
import { EtcdClient } from '../../../src/etcd-client/index.ts'

export interface Sides {
  readonly source: Client
  readonly target: EtcdClient
  readonly clusters: readonly EmbeddedCluster[]
}

/** As the command has it: machines may be busy. */
export const TIMEOUT_MS = 60_000

export function useSides(): () => Sides {
  let sides: Sides
  beforeAll(async () => {
    const clusters = await Promise.all([startCluster({ nodes: 1 }), startCluster({ nodes: 1 })])
    const [from, to] = clusters
    sides = {
      source: from.client({ timeoutMs: TIMEOUT_MS }),
      target: new EtcdClient({ endpoints: to.endpoints, timeoutMs: TIMEOUT_MS }),
      clusters,
    }
  })
  afterAll(async () => {
    await sides.target.close()
    await Promise.all(sides.clusters.map((cluster) => cluster.close()))
  })
  return () => sides
}

/** A migration that runs, and its events. */
export class TestRun {
  readonly events: MigrationEvent[] = []
  readonly result: Promise<MigrationResult>
  readonly #until = new AbortController()
  readonly #crash = new AbortController()

  constructor(
    { source, target, writer = target }: Pick<Sides, 'source' | 'target'> & { readonly writer?: EtcdClient },
    options: Partial<MigrationOptions> & {
      readonly prefix: string
      readonly follow?: boolean
      /** Returns whether the run crashes at the event. */
      readonly crashAt?: (event: MigrationEvent) => boolean
    },
  ) {
    const { follow = false, crashAt = () => false } = options
    this.result = migrate({
      ...{ source, target, writer, sourceId: '1', limits: new TargetLimits() },
      ...options,
      until: follow ? this.#until.signal : undefined,
      signal: this.#crash.signal,
      onEvent: (event) => {
        this.events.push(event)
        if (crashAt(event)) this.#crash.abort()
      },
    })
    this.result.catch(() => {})
  }

  has(kind: MigrationEvent['kind']): boolean {
    return this.events.some((event) => event.kind === kind)
  }

  async reached(kind: MigrationEvent['kind']): Promise<void> {
    while (!this.has(kind)) await Promise.race([sleep(5), this.result.then(() => {})])
  }

  /** Ends following. */
  end(): Promise<MigrationResult> {
    this.#until.abort()
    return this.result
  }
}

/** The keys of a range in the order of their revisions, as text. `orderWithin` orders those of one revision. */
export async function keysByRevision(
  client: Client,
  prefix: string,
  orderWithin: (key: string) => number = () => 0,
): Promise<string[]> {
  const found: { key: string; modRevision: number }[] = []
  for await (const record of client.list({ prefix })) found.push(record)
  const compare = (a: string, b: string): number => orderWithin(a) - orderWithin(b)
  return found.sort((a, b) => a.modRevision - b.modRevision || compare(a.key, b.key)).map(({ key }) => key)
}

/** A client of etcd that loses answers of transactions: some were made, some were not. */
export class LossyClient extends EtcdClient {
  #calls = 0

  override async txn(txn: Txn, options: TxnOptions) {
    const lost = new OutcomeUnknownError('lost', { code: 'outcome_unknown', written: 'unknown' })
    this.#calls += 1
    if (this.#calls % 3 === 1) throw lost
    const result = await super.txn(txn, options)
    if (this.#calls % 3 === 2) throw lost
    return result
  }
}

/** A client of etcd that waits for `step` before its first transaction, and before its first list. */
export class SteppingClient extends EtcdClient {
  #step: (() => Promise<unknown>) | undefined

  constructor(endpoints: readonly string[], step: () => Promise<unknown>) {
    super({ endpoints, timeoutMs: TIMEOUT_MS })
    this.#step = step
  }

  async #makeStep(): Promise<void> {
    const step = this.#step
    this.#step = undefined
    await step?.()
  }

  override async txn(txn: Txn, options: TxnOptions) {
    await this.#makeStep()
    return super.txn(txn, options)
  }

  override async *list(options?: ListOptions) {
    await this.#makeStep()
    yield* super.list(options)
  }
}

/** A client of a source that is written to during each list, while it has a watch. The watch has the change then. */
export class WrittenClient extends EtcdClient {
  readonly #write: () => Promise<{ readonly revision: number }>
  #seen: number | undefined
  #wake = () => {}

  constructor(endpoints: readonly string[], write: () => Promise<{ readonly revision: number }>) {
    super({ endpoints, timeoutMs: TIMEOUT_MS })
    this.#write = write
  }

  override watch(options: WatchOptions): Watch {
    const watch = super.watch(options)
    const batches = async function* (this: WrittenClient) {
      this.#seen = 0
      for await (const batch of watch) {
        yield batch
        this.#seen = batch.revision
        this.#wake()
      }
    }
    return Object.assign(Object.create(watch), { [Symbol.asyncIterator]: batches.bind(this) }) as Watch
  }

  override async *list(options?: ListOptions) {
    yield* super.list(options)
    if (this.#seen === undefined) return
    const { revision } = await this.#write()
    while (this.#seen < revision) await new Promise<void>((resolve) => (this.#wake = resolve))
  }
}

/** A client of etcd that refuses every transaction as too large. */
export class RefusingClient extends EtcdClient {
  override async txn(): Promise<never> {
    throw new QuorateError('too large', { code: 'request_too_large', written: 'no' })
  }
}

/** A client of an etcd whose leases live for 31 years. */
export class LongLeaseClient extends EtcdClient {
  override async lease(id: string, options?: LeaseOptions) {
    const lease = await super.lease(id, options)
    return lease && { ...lease, grantedTtlMs: 999_999_999_000 }
  }
}

/** A client of a damaged etcd: its keys have leases that do not exist. */
export class LeaselessClient extends EtcdClient {
  override async lease(): Promise<undefined> {
    return undefined
  }
}
