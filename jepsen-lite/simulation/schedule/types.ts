// The public types of schedules of faults for simulations.

/**
 * crash: these nodes and processes are killed, and start again at the end. stop: these nodes end in an orderly way, and
 * start again at the end. pause: these nodes and processes do nothing, as after SIGSTOP. partition: these nodes and
 * processes are on one side, the other nodes on the other; a process that is not named reaches both. one-way: what
 * these nodes send to other nodes is lost. power-loss: these nodes are killed, and lose what they wrote and did not
 * sync. slow-link: each message from and to these nodes and processes takes longer. slow-disk: each write of these
 * nodes takes longer. skew: the clocks of these nodes and processes have another rate.
 */
export type SimulatedFaultKind =
  | 'crash'
  | 'stop'
  | 'pause'
  | 'partition'
  | 'one-way'
  | 'power-loss'
  | 'slow-link'
  | 'slow-disk'
  | 'skew'

export interface SimulatedFault {
  /** Milliseconds after the beginning of the run. */
  readonly at: number
  readonly fault: SimulatedFaultKind
  /** Nodes (n1, n2, …), processes, or 'leader': the node that leads when the fault begins. */
  readonly on: readonly string[]
  /** Milliseconds until it ends. */
  readonly for: number
  /** slow-link, slow-disk: milliseconds. skew: the rate of the clock, for example 1.05. */
  readonly by?: number | undefined
}

export interface SimulatedFaultsOptions {
  /** Size of the cluster. Default: 3. */
  readonly nodes?: number | undefined
  /** Names of the processes that faults may strike. Default: none. */
  readonly processes?: readonly string[] | undefined
  /** Default: all. */
  readonly kinds?: readonly SimulatedFaultKind[] | undefined
  /** The largest number of faults. Default: 4. */
  readonly steps?: number | undefined
  /** Faults begin up to this time, in milliseconds. Choose about as long as the body runs. Default: 10,000. */
  readonly ms?: number | undefined
  /** The longest duration of a fault, in milliseconds. Default: 15,000, more than the default `ttlMs` of locks. */
  readonly durationMaxMs?: number | undefined
}
