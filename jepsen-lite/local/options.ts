// Options of a run.

import type { Nemesis } from './nemesis.ts'
import type { WireName } from './wires/index.ts'
import type { WorkloadName } from './workloads.ts'

export interface LocalRunOptions {
  /**
   * Duration of the workload: first without faults, then with faults. Start, recovery and check take additional time.
   */
  readonly timeS: number
  readonly workload: WorkloadName
  /** The protocol of the clients. The run itself asks the nodes over HTTP. */
  readonly wire: WireName
  readonly nemeses: readonly Nemesis[]
  /** Operations a second, of all clients together. */
  readonly rate: number
  readonly clients: number
  readonly nodes: number
  /** Peers and clients use TLS. */
  readonly tls: boolean
  readonly out: string
  readonly seed: number
  /** The command that repeats the run. */
  readonly command: string
  readonly portFrom: number
  /** Ends the run early; what was recorded until then is still judged and written. */
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}
