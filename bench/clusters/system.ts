// A system that quorate is compared with. One file here describes it, and one in bench/generator is its load.

import type { Over } from '../load/load.ts'
import type { Cluster } from './cluster.ts'

export interface StartedCluster extends Cluster {
  /** Ends every process. */
  stop(): Promise<void>
}

export interface System {
  /** As `--against` takes it, and as the tables show it. */
  readonly name: string
  /** Release and options, and when a write is on the disks. */
  readonly about: string
  /** Protocol of its client, for the generator in Go. */
  readonly over: Over
  /** Its client has a connection for each operation in flight, as HTTP/1.1 needs. */
  readonly connectionPerOperation?: true
  /** Scenarios that it does not take part in, with the reason. */
  readonly without: Readonly<Record<string, string>>
  /**
   * Finds or builds the programs, and returns a function that starts three nodes whose data is in a directory. Rejects
   * with what to install when something is missing.
   */
  prepare(): Promise<(directory: string) => Promise<StartedCluster>>
}

/** Scenarios of etcd's API, with the reason why other protocols do not take part. */
export const ETCD_ONLY: Readonly<Record<string, string>> = {
  lists: "pages of etcd's API",
  'lists-500': "pages of etcd's API",
}

/** Scenarios of watches, with the reason why a system does not take part. */
export const withoutWatches = (reason: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    ['watch', 'watch-10', 'watch-100', 'watch-100k', 'watch-all-100k'].map((name) => [name, reason]),
  )

/** Scenarios of what no other system here has, with the reason why these do not take part. */
export const QUORATE_ONLY: Readonly<Record<string, string>> = {
  'get-lease': 'reads by lease',
  stalls: 'event loops of Node.js',
  'stalls-max': 'event loops of Node.js',
  secure: 'rights of quorate',
  'wrong-logins': 'rights of quorate',
  import: 'a command of quorate',
  size: 'commands of quorate',
  'size-10m': 'commands of quorate',
}
