// A scenario is measured on each side of the comparison.

import type { Cluster, ClusterNode } from '../clusters/cluster.ts'
import type { Over } from '../load/load.ts'
import type { Program } from '../load/run-generator.ts'

/** A cluster with a protocol to use it by. */
export interface Side {
  /** As the tables show it. */
  readonly name: string
  /** How it is run, for the report. */
  readonly about: string
  readonly cluster: Cluster
  /** Scenarios that it does not take part in, with the reason. */
  readonly without: Readonly<Record<string, string>>
  readonly over: Over
  readonly generator: Program
  /** The nodes that the load is sent to. */
  readonly to: 'leader' | 'all'
  /** For protocols that carry many operations on one connection. */
  readonly connections: ConnectionCounts
}

export interface ConnectionCounts {
  readonly writes: number
  readonly reads: number
}

export interface Setting {
  readonly seconds: number
  readonly warmupSeconds: number
  /** Keys in the store. */
  readonly keys: number
  readonly valueBytes: number
  /** Open loop: operations a second; null: closed loop. */
  readonly rate: number | null
  /** For files that a scenario needs; removed at the end. */
  readonly directory: string
}

/** By name; a name ends with its unit. */
export type Figures = Readonly<Record<string, number>>

export interface Measured {
  readonly figures: Figures
  /** How many operations failed, by kind. */
  readonly errors?: Readonly<Record<string, number>>
}

export interface Scenario {
  readonly name: string
  /** One sentence for --list. */
  readonly about: string
  /** Keys that the store must hold before: none, as many as --keys says, or ten million. */
  readonly store: 'empty' | 'filled' | 'ten million'
  /** Measured once for each protocol, or once for each system. */
  readonly per: 'protocol' | 'system'
  /** It runs only when it is named, or with --long, like those with ten million keys. */
  readonly takesLong?: true
  /** It kills and starts nodes. */
  readonly breaksNodes?: true
  measure(side: Side, setting: Setting): Promise<Measured>
}

export const TEN_MILLION = 10_000_000

export const urlsFor = (
  { to }: Side,
  [leader, ...others]: readonly [ClusterNode, ...ClusterNode[]],
): string[] => (to === 'leader' ? [leader] : [leader, ...others]).map(({ url }) => url)
