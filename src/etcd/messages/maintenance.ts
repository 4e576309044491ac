// etcdserverpb.Maintenance. Source: etcd's api/etcdserverpb/rpc.proto.

import {
  bigUint64,
  bool,
  bytes,
  enumeration,
  int64,
  type MessageOf,
  message,
  nested,
  repeated,
  text,
} from '../message.ts'
import { ResponseHeader } from './header.ts'

const header = nested(1, () => ResponseHeader)

export const ALARM_ACTIONS = ['GET', 'ACTIVATE', 'DEACTIVATE']
export const ALARM_TYPES = ['NONE', 'NOSPACE', 'CORRUPT']

export type AlarmRequest = MessageOf<typeof AlarmRequest>
export const AlarmRequest = message({
  action: enumeration(ALARM_ACTIONS)(1),
  /** 0: of all members. */
  memberId: bigUint64(2, 'memberID'),
  alarm: enumeration(ALARM_TYPES)(3),
})

export type AlarmMember = MessageOf<typeof AlarmMember>
export const AlarmMember = message({
  memberId: bigUint64(1, 'memberID'),
  alarm: enumeration(ALARM_TYPES)(2),
})

export type AlarmResponse = MessageOf<typeof AlarmResponse>
export const AlarmResponse = message({ header, alarms: repeated(nested(2, () => AlarmMember)) })

export const StatusRequest = message({})

export type StatusResponse = MessageOf<typeof StatusResponse>
export const StatusResponse = message({
  header,
  version: text(2),
  dbSize: int64(3, 'dbSize'),
  leader: bigUint64(4),
  raftIndex: int64(5, 'raftIndex'),
  raftTerm: int64(6, 'raftTerm'),
  raftAppliedIndex: int64(7, 'raftAppliedIndex'),
  errors: repeated(text(8)),
  dbSizeInUse: int64(9, 'dbSizeInUse'),
  isLearner: bool(10, 'isLearner'),
  storageVersion: text(11, 'storageVersion'),
  dbSizeQuota: int64(12, 'dbSizeQuota'),
})

export const DefragmentRequest = message({})
export type DefragmentResponse = MessageOf<typeof DefragmentResponse>
export const DefragmentResponse = message({ header })

export const HashRequest = message({})
export type HashResponse = MessageOf<typeof HashResponse>
export const HashResponse = message({ header, hash: int64(2) })

export type HashKvRequest = MessageOf<typeof HashKvRequest>
export const HashKvRequest = message({
  /** 0: the newest. */
  revision: int64(1),
})

export type HashKvResponse = MessageOf<typeof HashKvResponse>
export const HashKvResponse = message({
  header,
  hash: int64(2),
  compactRevision: int64(3),
  hashRevision: int64(4),
})

export const SnapshotRequest = message({})
export type SnapshotResponse = MessageOf<typeof SnapshotResponse>
export const SnapshotResponse = message({
  header,
  remainingBytes: int64(2),
  blob: bytes(3),
  version: text(4),
})

export type MoveLeaderRequest = MessageOf<typeof MoveLeaderRequest>
export const MoveLeaderRequest = message({ targetId: bigUint64(1, 'targetID') })

export type MoveLeaderResponse = MessageOf<typeof MoveLeaderResponse>
export const MoveLeaderResponse = message({ header })

export type DowngradeRequest = MessageOf<typeof DowngradeRequest>
export const DowngradeRequest = message({
  action: enumeration(['VALIDATE', 'ENABLE', 'CANCEL'])(1),
  version: text(2),
})

export type DowngradeResponse = MessageOf<typeof DowngradeResponse>
export const DowngradeResponse = message({ header, version: text(2) })

/** grpc.health.v1.Health, of https://github.com/grpc/grpc/blob/master/doc/health-checking.md. */
export type HealthCheckRequest = MessageOf<typeof HealthCheckRequest>
export const HealthCheckRequest = message({ service: text(1) })

export const HEALTH_STATUSES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN']
export type HealthCheckResponse = MessageOf<typeof HealthCheckResponse>
export const HealthCheckResponse = message({ status: enumeration(HEALTH_STATUSES)(1) })
