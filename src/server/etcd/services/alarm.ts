// Maintenance.Alarm: a node has the alarm NOSPACE by itself, as long as it has no room.

import { ALARM_ACTIONS, ALARM_TYPES, type AlarmMember } from '../../../etcd/messages/maintenance.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { GRPC, GrpcError } from '../../../etcd/status.ts'
import type { EtcdCall } from '../call.ts'
import { serveUnary } from '../rpc.ts'

const ACTIVATE = ALARM_ACTIONS.indexOf('ACTIVATE')
const NOSPACE = ALARM_TYPES.indexOf('NOSPACE')

/** The store has no room for much more when so much of `store_bytes_max` is left. */
const ROOM_SHARE_MIN = 0.01

export const alarm = serveUnary(RPC.alarm, async ({ action, memberId, alarm: type }, call) => {
  // Any user may ask, and nobody changes anything.
  await call.execute({ kind: 'status' })
  if (action === ACTIVATE)
    throw new GrpcError(
      GRPC.unimplemented,
      'etcdserver: an alarm begins and ends by itself: nobody activates it',
    )
  const alarms = findAlarms(call).filter(
    (each) => (memberId === 0n || each.memberId === memberId) && (type === 0 || each.alarm === type),
  )
  return { header: call.header(), alarms }
})

/** The alarms of this node. */
function findAlarms({ api: { node } }: EtcdCall): readonly AlarmMember[] {
  const { diskSpace, storeBytes, settings, replicaId } = node.status()
  const { storeBytesMax } = settings
  const isFull = storeBytesMax - storeBytes <= storeBytesMax * ROOM_SHARE_MIN
  return diskSpace !== 'enough' || isFull ? [{ memberId: BigInt(replicaId), alarm: NOSPACE }] : []
}
