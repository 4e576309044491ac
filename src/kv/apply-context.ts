// The state, the rows and the events that one entry changes.

import type { ChangeOrigin } from './codec/rows.ts'
import type { EventWriter } from './history.ts'
import type { KvState, Rows, UserIdentity } from './types.ts'

/** The registers while an entry is applied. */
export type MutableState = { -readonly [name in keyof KvState]: KvState[name] }

export interface ApplyContext {
  readonly state: MutableState
  readonly rows: Rows
  readonly events: EventWriter
  /** The user who makes the request, if rights are checked. */
  readonly by: UserIdentity | undefined
  /** The user and the time of the request in the rows of versions, as far as they are known. */
  readonly origin: ChangeOrigin
  /** That of deletions; before cluster version 2 they have none. */
  readonly originOfDeletion: ChangeOrigin
}
