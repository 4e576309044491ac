// The messages between `kv cluster start --detach` and the supervisor that it starts: one in each direction.

import type { ControlAddress } from '../../local/cluster-file.ts'
import type { Formed, SupervisorOptions } from '../../local/supervisor.ts'

export type ToSupervisor = SupervisorOptions

export type FromSupervisor =
  | ({ readonly kind: 'up' } & Formed)
  /** Another supervisor has the directory. */
  | { readonly kind: 'running'; readonly running: ControlAddress }
  | { readonly kind: 'failed'; readonly exitCode: number; readonly reason: string }
