// A client whose transactions sometimes end with "unknown": nothing was done, or it was done, or it will be done a
// little later. So does a network that eats answers, and a node that dies.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Client, OutcomeUnknownError } from '../../src/client/index.ts'

export interface Unsure {
  /** The client; methods that are not named here are those of `kv`. */
  readonly kv: Client
  /** How many outcomes were eaten. */
  eaten: number
  /** Whether outcomes are eaten now. */
  isOn: boolean
}

/** `draw`: from 0 to 1. `share`: of the transactions, from 0 to 1. */
export function unsure(kv: Client, draw: () => number, share: number): Unsure {
  const unknown = () =>
    new OutcomeUnknownError('eaten', { code: 'outcome_unknown', written: 'unknown', status: 504 })
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
          if (!state.isOn || draw() >= share) return call(...args)
          state.eaten += 1
          const kind = draw()
          if (kind < 0.5) await call(...args)
          else if (kind < 0.8) void sleep(draw() * 30).then(() => call(...args).catch(() => undefined))
          throw unknown()
        }
      },
    }),
  }
  return state
}
