// The puts whose cost is counted: one turn's worth of them, on keys that exist, with values of 256 bytes.

import type { Request } from '../../../src/kv/index.ts'
import type { Idempotency } from '../../../src/operations/forms/index.ts'
import type { BatchedCommand } from '../../../src/operations/index.ts'
import { ThreeNodes } from './three-nodes.ts'

/**
 * How a put is identified: not at all, by the slot of a session, or by a token. A put of a batch shares the slot of
 * the batch.
 */
export const KINDS = ['batch', 'plain', 'session', 'token'] as const
export type Kind = (typeof KINDS)[number]

const VALUE_BYTES = 256
/** Puts of a batch. */
const BATCH_MAX = 100
/** The first rounds find no rows of earlier ones. Outcomes of tokens are forgotten after two rounds, followers last. */
const ROUNDS_BEFORE = 8

export class Puts {
  readonly cluster = new ThreeNodes()
  readonly #kind: Kind
  readonly #count: number
  readonly #session: number
  #seq = 0

  constructor(kind: Kind, count: number) {
    this.#kind = kind
    this.#count = count
    const [opened] = this.cluster.propose([request({ kind: 'open-session' })])
    if (opened?.kind !== 'session') throw new Error('no session')
    this.#session = opened.session
    this.cluster.propose([request({ kind: 'settings', settings: { idempotencyTokensMax: 2 * count } })])
    for (let round = 0; round < ROUNDS_BEFORE; round++) this.round()
  }

  /** One turn of puts, until all are answered. The next round follows at once, as under load. */
  round(requests = this.requests()): void {
    for (const outcome of this.cluster.propose(requests)) {
      const { kind } = outcome.kind === 'batch' ? (outcome.outcomes[0] ?? outcome) : outcome
      if (kind !== 'put') throw new Error(kind)
    }
  }

  requests(): readonly Request[] {
    const puts = Array.from({ length: this.#count }, (_, at) => put(at))
    if (this.#kind !== 'batch') return puts.map((command, at) => request(command, this.#identity(at)))
    const batches: Request[] = []
    for (let at = 0; at < puts.length; at += BATCH_MAX) {
      const command = { kind: 'batch', commands: puts.slice(at, at + BATCH_MAX) } as const
      batches.push(request(command, this.#identity(at / BATCH_MAX)))
    }
    return batches
  }

  #identity(slot: number): Idempotency | undefined {
    const seq = ++this.#seq
    if (this.#kind === 'session' || this.#kind === 'batch') return { session: this.#session, slot, seq }
    return this.#kind === 'token'
      ? { token: `token-${String(seq).padStart(16, '0')}`, since: undefined }
      : undefined
  }
}

const put = (at: number): BatchedCommand => ({
  kind: 'put',
  key: new TextEncoder().encode(`key/${String(at).padStart(8, '0')}`),
  value: new Uint8Array(VALUE_BYTES),
  condition: undefined,
  prev: false,
})

const request = (command: Request['command'], idempotency?: Idempotency): Request => ({
  command,
  idempotency,
  principal: '',
})
