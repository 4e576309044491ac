// The state, the rows and the events that one entry changes.

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
}
