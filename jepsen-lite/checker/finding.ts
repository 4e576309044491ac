/** Something that a correct store cannot do. */
export interface Finding {
  readonly check:
    | 'linearizability'
    | 'revisions'
    | 'lists'
    | 'reads'
    | 'idempotency'
    | 'durability'
    | 'revision-accounting'
  /** For people: what was observed, and why it is impossible. */
  readonly message: string
  readonly key: string | undefined
  /** Ids of the calls that show it, by their start. */
  readonly calls: readonly number[]
}
