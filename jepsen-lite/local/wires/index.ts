// The wires of a run, by name.

import { Client, type ClientOptions } from '../../../src/client/index.ts'
import type { ClientTls } from '../../../src/client/types.ts'
import { EtcdClient } from '../../../src/etcd-client/etcd-client.ts'
import { GrpcWatchClients } from './grpc/watch-clients.ts'
import { GrpcWireClient } from './grpc/wire-client.ts'
import { HttpWatchClients } from './http/watch-clients.ts'
import { HttpWireClient } from './http/wire-client.ts'
import type { NodeWatchClients, WatchClientOptions } from './watch-clients.ts'
import type { WireClient, WireFeatures } from './wire.ts'

type LibraryOptions = Pick<ClientOptions, 'tls' | 'timeoutMs'> & { readonly endpoints: readonly string[] }

interface Wire {
  readonly features: WireFeatures
  readonly Client: new (tls?: ClientTls) => WireClient
  readonly WatchClients: new (options: WatchClientOptions) => NodeWatchClients
  /** The client library over this wire. */
  readonly createLibraryClient: (options: LibraryOptions) => Client
}

export const WIRE_NAMES = ['http', 'grpc'] as const
export type WireName = (typeof WIRE_NAMES)[number]

export const WIRES: Readonly<Record<WireName, Wire>> = {
  http: {
    features: {
      idempotencyTokens: true,
      freshness: true,
      timedPuts: true,
      valuelessWatches: true,
      libraryProgress: true,
    },
    Client: HttpWireClient,
    WatchClients: HttpWatchClients,
    createLibraryClient: (options) => new Client(options),
  },
  grpc: {
    features: {
      idempotencyTokens: false,
      freshness: false,
      timedPuts: false,
      valuelessWatches: false,
      libraryProgress: false,
    },
    Client: GrpcWireClient,
    WatchClients: GrpcWatchClients,
    createLibraryClient: (options) => new EtcdClient(options),
  },
}
