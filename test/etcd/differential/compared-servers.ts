// Both servers, started anew, and the comparison of them.

import { setQuickScrypt } from '../../quick-scrypt.ts'
import { etcdPrograms } from '../etcd-programs.ts'
import { Comparison } from './comparison.ts'
import { connect } from './conversation.ts'
import { startEtcd, startQuorate } from './servers.ts'

export interface ComparedServers {
  readonly comparison: Comparison
  stop(): Promise<void>
}

/** `which`: as `etcdPrograms` takes it. */
export async function startComparison(which?: string): Promise<ComparedServers> {
  const programs = await etcdPrograms(which)
  const etcd = await startEtcd(programs)
  // As for etcd, whose flag lowers the cost.
  setQuickScrypt(true)
  const quorate = await startQuorate()
  const clients = [connect(etcd.endpoint), connect(quorate.endpoint)] as const
  const stop = async (): Promise<void> => {
    for (const client of clients) client.close()
    await Promise.all([etcd.stop(), quorate.stop()])
  }
  return { comparison: new Comparison(programs.release, ...clients), stop }
}
