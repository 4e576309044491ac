// Both servers, started anew, and the comparison of them.

import { Comparison } from './comparison.ts'
import { connect } from './conversation.ts'
import { startEtcd, startQuorate } from './servers.ts'

export interface ComparedServers {
  readonly comparison: Comparison
  stop(): Promise<void>
}

export async function startComparison(): Promise<ComparedServers> {
  const etcd = await startEtcd()
  const quorate = await startQuorate()
  const clients = [connect(etcd.endpoint), connect(quorate.endpoint)] as const
  const stop = async (): Promise<void> => {
    for (const client of clients) client.close()
    await Promise.all([etcd.stop(), quorate.stop()])
  }
  return { comparison: new Comparison(...clients), stop }
}
