// The messages between `kv cluster start --detach` and the supervisor that it starts: one in each direction.

import type { ControlAddress } from '../../local/directory/cluster-file.ts'
import type { FormedCluster, SupervisorOptions } from '../../local/supervisor/supervisor.ts'

export type ToSupervisor = SupervisorOptions

export type FromSupervisor =
  | ({ readonly kind: 'formed' } & FormedCluster)
  /** Another supervisor holds the directory. */
  | { readonly kind: 'held'; readonly holder: ControlAddress }
  | { readonly kind: 'failed'; readonly exitCode: number; readonly reason: string }
