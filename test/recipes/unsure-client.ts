// A client whose transactions sometimes have an unknown outcome: they were never applied, were applied, or will be
// applied a little later. A network that loses responses and a node that dies cause the same.

import type { Client } from '../../src/client/index.ts'
import { unknownOutcome } from './client-errors.ts'
import { sleep } from './simulated-test.ts'

export interface Unsure {
  /** The client with these transactions. */
  readonly kv: Client
  /** Number of unknown outcomes. */
  eaten: number
  /** Whether outcomes are unknown now. */
  isOn: boolean
}

/**
 * `share`: share of transactions with an unknown outcome. The first one always has it: a run with few transactions has
 * one too.
 */
export function unsure(kv: Client, share: number): Unsure {
  const state: Unsure = {
    eaten: 0,
    isOn: true,
    kv: new Proxy(kv, {
      get(_, name) {
        const member: unknown = Reflect.get(kv, name, kv)
        if (typeof member !== 'function') return member
        const call = member.bind(kv)
        if (name !== 'txn') return call
        return async (...args: readonly unknown[]) => {
          if (!state.isOn || (Math.random() >= share && state.eaten > 0)) return call(...args)
          state.eaten += 1
          const kind = Math.random()
          if (kind < 0.5) await call(...args)
          else if (kind < 0.8) void sleep(Math.random() * 30).then(() => call(...args).catch(() => undefined))
          throw unknownOutcome()
        }
      },
    }),
  }
  return state
}
