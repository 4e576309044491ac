// Limits of connections that speak gRPC (../etcd/grpc). docs/reference/limits.md lists them.

const KiB = 1024
const MiB = 1024 * KiB

export interface GrpcLimits {
  /** A message of a client. etcd's requests have 1.5 MiB at most, and some overhead. */
  readonly grpcMessageBytesMax: number
  /** The metadata of a call, 32 bytes of overhead for each field included. Beyond: the call is refused. */
  readonly grpcHeadBytesMax: number
  /** Open calls of one connection. Beyond: they are refused, and clients try again. */
  readonly grpcStreamsMax: number
  /** The same, as long as nobody is known on the connection; and calls that are refused on it before it is closed. */
  readonly grpcUnidentifiedStreamsMax: number
  /** Calls of one connection that end early within 10 s, given up by the client or broken. Beyond: it is closed. */
  readonly grpcResetsMax: number
  /** A silent connection is pinged after this long, and cut after twice this long. */
  readonly grpcPingMs: number
  /** Interval at which a client may ping without receiving anything. The third ping too early closes the connection. */
  readonly grpcPingMsMin: number
}

export const grpcLimits: GrpcLimits = {
  grpcMessageBytesMax: 2 * MiB,
  grpcHeadBytesMax: 16 * KiB,
  grpcStreamsMax: 10_000,
  grpcUnidentifiedStreamsMax: 100,
  grpcResetsMax: 10_000,
  grpcPingMs: 30_000,
  grpcPingMsMin: 5_000,
}
