// All mutants, by the part of the code that they change.

import type { Impossible, Mutant } from '../mutant.ts'
import { CLIENT_MUTANTS } from './client.ts'
import { ELECTIONS } from './elections.ts'
import { ETCD, ETCD_IMPOSSIBLE } from './etcd.ts'
import { HARNESS } from './harness.ts'
import { HTTP_FRONT } from './http.ts'
import { IMPOSSIBLE_HERE } from './impossible.ts'
import { JUDGES } from './judges.ts'
import { LOCAL } from './local.ts'
import { MEMBERSHIP_CHANGES } from './membership.ts'
import { MULTIPLEXED } from './mux.ts'
import { READS } from './reads.ts'
import { RECIPES } from './recipes.ts'
import { REPLICATION } from './replication.ts'
import { REQUESTS } from './requests.ts'
import { REST } from './rest.ts'
import { SESSIONS_AND_BATCHES } from './sessions.ts'
import { SNAPSHOTS } from './snapshots.ts'
import { STORAGE } from './storage.ts'
import { WHOLE_STORE } from './store.ts'
import { TRANSPORT } from './transport.ts'

/** Bugs of the tester itself. */
export const TESTER_MUTANTS: readonly Mutant[] = [...HARNESS, ...JUDGES]

export const IMPOSSIBLE: readonly Impossible[] = [...IMPOSSIBLE_HERE, ...ETCD_IMPOSSIBLE]

/** Bugs of the store. */
export const STORE_MUTANTS: readonly Mutant[] = [
  ...ELECTIONS,
  ...REPLICATION,
  ...READS,
  ...REQUESTS,
  ...SESSIONS_AND_BATCHES,
  ...HTTP_FRONT,
  ...MULTIPLEXED,
  ...SNAPSHOTS,
  ...MEMBERSHIP_CHANGES,
  ...STORAGE,
  ...WHOLE_STORE,
  ...TRANSPORT,
  ...CLIENT_MUTANTS,
  ...RECIPES,
  ...LOCAL,
  ...REST,
  ...ETCD,
].sort((a, b) => number(a) - number(b))

export const MUTANTS: readonly Mutant[] = [...STORE_MUTANTS, ...TESTER_MUTANTS]

function number({ id }: Mutant): number {
  return Number(id.slice(1))
}
