// The public types of schedules.

export type FaultKind = 'partition' | 'crash' | 'stop'

export interface Fault {
  /** It begins when so many operations have ended. */
  readonly at: number
  /**
   * partition: these nodes are cut off from the others. crash: they end as if killed; stop: they end in an orderly way.
   * Both start again at the end of the fault.
   */
  readonly fault: FaultKind
  /** Names, or 'leader': the node that leads when the fault begins. */
  readonly nodes: readonly string[]
  /** It ends when so many further operations have ended. */
  readonly for: number
}

export interface ScheduleOptions {
  /** Size of the cluster. Default: 3. */
  readonly nodes?: number | undefined
  /** The largest number of faults. Default: 4. */
  readonly steps?: number | undefined
  /** Default: all. */
  readonly kinds?: readonly FaultKind[] | undefined
  /** Faults begin while this many operations end. Choose about as many as the body does. Default: 20. */
  readonly operations?: number | undefined
  /** The longest duration of a fault, in operations. Default: 10. */
  readonly durationMax?: number | undefined
}
