/** Something that a correct store cannot do, seen in a history. */
export interface Anomaly {
  readonly check:
    | 'linearizability'
    | 'revisions'
    | 'lists'
    | 'reads'
    | 'idempotency'
    | 'durability'
    | 'revision-accounting'
    | 'transactions'
    | 'log'
    | 'watches'
    | 'leases'
    | 'locks'
    | 'queues'
  /** Sentence for people: what was observed, and why it is impossible. */
  readonly message: string
  readonly key: string | undefined
  /** Ids of the calls that show it, by their start. */
  readonly calls: readonly number[]
}

export const anomalyText = ({ check, message }: Anomaly): string => `${check}: ${message}`
