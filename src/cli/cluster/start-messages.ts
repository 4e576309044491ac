// What `kv cluster start --detach` and the supervisor that it leaves behind say to each other, once.

import type { Formed, SupervisorOptions } from './supervisor.ts'

export type ToSupervisor = SupervisorOptions

export type FromSupervisor =
  | ({ readonly kind: 'up' } & Formed)
  | { readonly kind: 'failed'; readonly exitCode: number; readonly reason: string }
