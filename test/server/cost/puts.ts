// The puts whose cost is counted: one turn's worth of them, on keys that exist, with values of 256 bytes.

import type { Idempotency, Request } from '../../../src/kv/index.ts'
import { ThreeNodes } from './three-nodes.ts'

/** How a put says which change it is: not at all, by the slot of a session, by a token. */
export const KINDS = ['plain', 'session', 'token'] as const
export type Kind = (typeof KINDS)[number]

const VALUE_BYTES = 256
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
    for (const { kind } of this.cluster.propose(requests)) if (kind !== 'put') throw new Error(kind)
  }

  requests(): readonly Request[] {
    return Array.from({ length: this.#count }, (_, at) =>
      request(
        {
          kind: 'put',
          key: new TextEncoder().encode(`key/${String(at).padStart(8, '0')}`),
          value: new Uint8Array(VALUE_BYTES),
          condition: undefined,
          prev: false,
        },
        this.#identity(at),
      ),
    )
  }

  #identity(slot: number): Idempotency | undefined {
    const seq = ++this.#seq
    if (this.#kind === 'session') return { session: this.#session, slot, seq }
    return this.#kind === 'token'
      ? { token: `token-${String(seq).padStart(16, '0')}`, since: undefined }
      : undefined
  }
}

const request = (command: Request['command'], idempotency?: Idempotency): Request => ({
  command,
  idempotency,
  principal: '',
})
