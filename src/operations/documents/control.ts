// A local cluster, as its supervisor reports it to the console, and what was done to it.

import { type DocumentType, document, listOf, oneOf, optional, text, wholeNumber } from './document.ts'

const NodeDocument = document('a node', {
  name: text,
  state: oneOf(['running', 'paused', 'stopped', 'killed']),
  /** Absent while no process runs. */
  pid: optional(wholeNumber),
  url: text,
})
export type ControlledNode = DocumentType<typeof NodeDocument>

const LinkDocument = document('a link', {
  from: text,
  to: text,
  /** `cut`: messages stop, and connections stay. `reset`: connections were closed as well. */
  state: oneOf(['open', 'cut', 'reset']),
})
/** The messages of `from` to `to`. */
export type LinkState = DocumentType<typeof LinkDocument>

/** The answer to `GET /control/state`, and the data of the event `state`. */
export const ControlDocument = document('the state of a cluster', {
  nodes: listOf(NodeDocument),
  /** Empty without relays. */
  links: listOf(LinkDocument),
})
export type ControlState = DocumentType<typeof ControlDocument>

/** The last part of the path of `POST /control/…`. `start` is a restart of a node that does not run. */
export type ControlAction = 'kill' | 'pause' | 'resume' | 'restart' | 'start' | 'cut' | 'partition' | 'heal'

/** The data of the event `action`. */
export const ActionDocument = document('an action', {
  /** When it began, on the clock of the supervisor. */
  timeMs: wholeNumber,
  /** The words after `kv cluster` that do the same. */
  action: text,
  by: oneOf(['command', 'console']),
  /** For a person. */
  message: text,
})
export type DoneAction = DocumentType<typeof ActionDocument>
