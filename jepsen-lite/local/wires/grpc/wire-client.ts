// A client over etcd's API.

import type { ClientTls } from '../../../../src/client/types.ts'
import { type HistoryOperation, isStoreOperation } from '../../../workload/history.ts'
import type { StoreTransaction } from '../../../workload/transaction.ts'
import { perform } from '../perform.ts'
import type { OneRequest, RequestEnd, WireClient } from '../wire.ts'
import { GrpcCalls, GrpcNodes } from './grpc-nodes.ts'
import { grpcKeyRequests } from './key-requests.ts'
import { performStore } from './store-requests.ts'
import { performTransaction } from './transactions.ts'

export class GrpcWireClient implements WireClient {
  readonly #nodes: GrpcNodes

  constructor(tls?: ClientTls) {
    this.#nodes = new GrpcNodes(tls)
  }

  perform(port: number, op: HistoryOperation | OneRequest, timeoutMs: number): Promise<RequestEnd> {
    const deadline = performance.now() + timeoutMs
    const calls = new GrpcCalls(this.#nodes, port, deadline)
    return isStoreOperation(op) ? performStore(calls, op) : perform(grpcKeyRequests(calls), op, deadline)
  }

  transact(port: number, txn: StoreTransaction, timeoutMs: number): Promise<readonly RequestEnd[]> {
    return performTransaction(new GrpcCalls(this.#nodes, port, performance.now() + timeoutMs), txn)
  }

  close(): void {
    this.#nodes.close()
  }
}
