// The parts of a view for the folds of the page, as plain data: the stores, the space-time diagram, and the verdict.

/**
 * A part of a view that it has only when it is requested. `heartbeats`: the diagram has them too. `judged-stale`: the
 * verdict judges stale reads as if they were linearizable.
 */
export type ViewPart = 'stores' | 'diagram' | 'heartbeats' | 'judged-stale'

/** The last moments of a run in a diagram, in virtual milliseconds. */
export const DIAGRAM_MS_MAX = 2000

// ---------------------------------------------------------------------------------------------------------------------
// The stores

/** A key on one node. */
export interface StoredKeyView {
  /** undefined: the node has no such key. */
  readonly row: StoredRowView | undefined
  /** Another node has applied a newer change of this key. */
  readonly isBehind: boolean
}

export interface StoredRowView {
  readonly value: string
  readonly modRevision: number
  /** The lease that deletes it. */
  readonly lease: string | undefined
}

export interface NodeStoreView {
  readonly name: string
  readonly applied: number
  /** Revision of the store after its applied entries. */
  readonly revision: number
  /** In the order of the keys of the view. */
  readonly cells: readonly StoredKeyView[]
}

export interface StoresView {
  readonly keys: readonly string[]
  /** Keys beyond those. */
  readonly more: number
  /** The newest state that a node has applied: the row of each key there. */
  readonly newest: readonly (StoredRowView | undefined)[]
  readonly nodes: readonly NodeStoreView[]
}

// ---------------------------------------------------------------------------------------------------------------------
// The space-time diagram

export interface DiagramMessageView {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly number: number
  readonly type: string
  readonly term: number
  readonly label: string
  readonly sentAt: number
  /** When it arrived, was lost, or would arrive. */
  readonly endsAt: number
  readonly end: 'arrived' | 'lost' | 'in flight'
}

export type DiagramEventKind =
  | 'campaign'
  | 'elected'
  | 'committed'
  | 'truncated'
  | 'snapshot'
  | 'crashed'
  | 'started'

/** Something that happened on one node. */
export interface DiagramEventView {
  readonly id: string
  readonly at: number
  readonly node: string
  readonly kind: DiagramEventKind
  /** A few characters beside its mark: `commit 3`. */
  readonly label: string
  readonly text: string
}

/** From this moment on a node is in this state: `down`, `opening`, `paused`, or its role. */
export interface DiagramStateView {
  readonly node: string
  readonly at: number
  readonly state: string
}

/** Everything in the last `DIAGRAM_MS_MAX`, the oldest first. */
export interface DiagramView {
  readonly messages: readonly DiagramMessageView[]
  readonly events: readonly DiagramEventView[]
  /** The changes of state, with the state of each node before them. */
  readonly states: readonly DiagramStateView[]
}

// ---------------------------------------------------------------------------------------------------------------------
// The verdict

/** When an operation may have taken effect. */
export interface EffectView {
  readonly operation: number
  readonly key: string
  readonly at: number
}

/** A stale read, compared with the log. */
export interface StaleReadView {
  readonly operation: number
  /** How long the first change that the answer misses had been committed; 0: it misses none. */
  readonly ageMs: number
  readonly text: string
}

/** Operations that have no order. */
export interface UnorderedView {
  readonly key: string
  /** The operation that fits nowhere. */
  readonly operation: number
  /** The operation that it should have followed, if there is one. */
  readonly missed: number | undefined
  /** A few operations that have no order even alone. */
  readonly operations: readonly number[]
  readonly text: string
}

/** The verdict on the answers so far. */
export interface VerdictView {
  /** `undecided`: an answer would take too long. */
  readonly verdict: 'linearizable' | 'violation' | 'undecided'
  /** Number of operations that were judged. */
  readonly judged: number
  /** If there is a violation: of the longest beginning that has an order. */
  readonly effects: readonly EffectView[]
  readonly unordered: UnorderedView | undefined
  readonly staleReads: readonly StaleReadView[]
}
