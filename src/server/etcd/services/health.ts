// grpc.health.v1.Health: whether to send requests to the node. Anybody may ask.

import { HEALTH_STATUSES } from '../../../etcd/messages/maintenance.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../../etcd/status.ts'
import type { Api } from '../../api/api.ts'
import { FOR_ALL, type Wanted } from '../../clients/gate.ts'
import { serveStream, serveUnary } from '../rpc.ts'

const SERVING = HEALTH_STATUSES.indexOf('SERVING')
const NOT_SERVING = HEALTH_STATUSES.indexOf('NOT_SERVING')
const SERVICE_UNKNOWN = HEALTH_STATUSES.indexOf('SERVICE_UNKNOWN')

const HEALTH: Wanted = { ...FOR_ALL, isProbe: true }

/** The node as a whole is the only service. */
const NODE = ''

const findStatus = ({ node }: Api): number => (node.status().notReady.length === 0 ? SERVING : NOT_SERVING)

export const healthCheck = serveUnary(
  RPC.healthCheck,
  ({ service }, { api }) => {
    if (service !== NODE) throw new GrpcError(GRPC.notFound, 'unknown service')
    return Promise.resolve({ status: findStatus(api) })
  },
  HEALTH,
)

export const healthWatch = serveStream(
  RPC.healthWatch,
  ({ service }, call, responses) =>
    new Promise((resolve) => {
      if (service !== NODE) responses.send({ status: SERVICE_UNKNOWN })
      let sent: number | undefined
      const report = (): void => {
        const status = findStatus(call.api)
        // A client that takes nothing receives the newest one later.
        if (status === sent || responses.waitingBytes > 0) return
        sent = status
        responses.send({ status })
      }
      const unobserve = service === NODE ? call.etcd.statusObservers.add(report) : undefined
      call.whenOver(() => {
        unobserve?.()
        resolve()
      })
    }),
  HEALTH,
)
