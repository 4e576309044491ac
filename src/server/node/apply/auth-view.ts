// Users and rights as the node has applied them.

import { AuthRows, AuthState, type KvState } from '../../../kv/index.ts'
import type { Storage } from '../../../storage/types.ts'

/** Users and rights at one auth revision. */
export interface Auth {
  /** Whether rights are checked. */
  readonly enabled: boolean
  readonly revision: number
  readonly state: AuthState
}

/** Reads the rows of users and roles when they are first needed, and again after they were changed. */
export class AuthView {
  readonly #rows: AuthRows
  readonly #applied: { readonly state: KvState }
  #known: Auth = { enabled: false, revision: 0, state: AuthState.EMPTY }

  constructor(storage: Pick<Storage, 'get'>, applied: { readonly state: KvState }) {
    this.#rows = new AuthRows((rowKey) => storage.get(rowKey))
    this.#applied = applied
  }

  get now(): Auth {
    const { enabled, revision } = this.#applied.state.auth
    if (revision !== this.#known.revision) this.#known = { enabled, revision, state: this.#rows.state }
    return this.#known
  }

  /** Number of rows of users and roles that were read. */
  get rowsRead(): number {
    return this.#rows.rowsRead
  }

  /** An entry writes this row. */
  rowChanged(rowKey: Uint8Array): void {
    this.#rows.changed(rowKey)
  }

  /** A snapshot has replaced all rows. */
  replaced(): void {
    this.#rows.replaced()
  }
}
