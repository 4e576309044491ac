// Users and rights as the node has applied them.

import { AUTH_KEY, AuthState, decodeAuth, type KvState } from '../../kv/index.ts'
import type { Storage } from '../../storage/types.ts'

/** Users and rights at one auth revision. */
export interface Auth {
  /** Whether rights are checked. */
  readonly enabled: boolean
  readonly revision: number
  readonly state: AuthState
}

/** Decodes the row of the auth state when it is first needed after a change. */
export class AuthView {
  readonly #storage: Pick<Storage, 'get'>
  readonly #applied: { readonly state: KvState }
  #known: Auth = { enabled: false, revision: 0, state: AuthState.EMPTY }

  constructor(storage: Pick<Storage, 'get'>, applied: { readonly state: KvState }) {
    this.#storage = storage
    this.#applied = applied
  }

  get now(): Auth {
    const { enabled, revision } = this.#applied.state.auth
    if (revision === this.#known.revision) return this.#known
    const row = this.#storage.get(AUTH_KEY)
    this.#known = { enabled, revision, state: row === undefined ? AuthState.EMPTY : decodeAuth(row) }
    return this.#known
  }
}
