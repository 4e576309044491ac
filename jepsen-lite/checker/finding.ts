/** Something that a store which keeps its promises cannot do. */
export interface Finding {
  readonly check:
    | 'linearizability'
    | 'revisions'
    | 'lists'
    | 'reads'
    | 'idempotency'
    | 'durability'
    | 'revision-accounting'
  /** For people: what was seen, and why it cannot be. */
  readonly message: string
  readonly key: string | undefined
  /** Ids of the calls that show it, in order of their start. */
  readonly calls: readonly number[]
}
