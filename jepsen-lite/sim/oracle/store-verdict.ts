// The judgement after a run: watches and leases, by the validators that judge real histories as well. The log that they
// compare with is the replayed one.

import { checkLeases } from '../../checker/leases/index.ts'
import { checkWatches, EventLog } from '../../checker/watch/index.ts'
import type { StoreClients } from '../clients/store-clients.ts'
import { computePatienceMs } from '../liveness/store-quiescence.ts'
import type { SimCluster } from '../world/cluster.ts'
import { DRIFT_MAX } from '../world/process.ts'
import { RuleViolation } from './violation.ts'

export function judgeStore({ invariants, config, probeCoverage }: SimCluster, store: StoreClients): void {
  const { model } = invariants
  const compacted = model.compactedAt(Number.POSITIVE_INFINITY)
  const log = new EventLog(model.events, model.revision)
  const [watch] = checkWatches(store.watchers.records, log, { compacted })
  if (watch !== undefined) throw new RuleViolation(watch.promise, `${watch.guarantee}: ${watch.message}`)
  const { promises } = store
  const [lease] = checkLeases(
    { promises, entries: model.entries },
    {
      driftMax: config.clocks === 2 || config.clocks === 4 ? undefined : config.clocks === 0 ? 0 : DRIFT_MAX,
      // While there are faults, nobody knows how long a leader cannot write.
      lateMs: (atMs) =>
        store.calmAt !== undefined && atMs >= store.calmAt
          ? computePatienceMs(config)
          : Number.POSITIVE_INFINITY,
    },
  )
  if (lease !== undefined) throw new RuleViolation(lease.promise, `${lease.guarantee}: ${lease.message}`)
  const begunIn = new Map<string, number | undefined>()
  for (const { term, changes } of model.entries)
    for (const change of changes) {
      if (change.what === 'part') probeCoverage.hit('lease ended in parts')
      if (change.what === 'granted') begunIn.set(change.id, term)
      if (change.what !== 'expired') continue
      probeCoverage.hit('lease expired')
      if (begunIn.get(change.id) !== term) probeCoverage.hit('lease ended under another leader than it began')
    }
}
