// A client over the public HTTP API.

import type { ClientTls } from '../../../../src/client/types.ts'
import { type HistoryOperation, isStoreOperation } from '../../../workload/history.ts'
import type { StoreTransaction } from '../../../workload/transaction.ts'
import { perform } from '../perform.ts'
import type { OneRequest, RequestEnd, WireClient } from '../wire.ts'
import { HttpClient } from './http-client.ts'
import { httpKeyRequests } from './key-requests.ts'
import { performStore } from './store-requests.ts'
import { performTransaction } from './transactions.ts'

export class HttpWireClient implements WireClient {
  readonly #client: HttpClient

  constructor(tls?: ClientTls) {
    this.#client = new HttpClient(tls)
  }

  perform(port: number, op: HistoryOperation | OneRequest, timeoutMs: number): Promise<RequestEnd> {
    if (isStoreOperation(op)) return performStore(this.#client, port, op, timeoutMs)
    const deadline = performance.now() + timeoutMs
    return perform(httpKeyRequests(this.#client, port, deadline), op, deadline)
  }

  transact(port: number, txn: StoreTransaction, timeoutMs: number): Promise<readonly RequestEnd[]> {
    return performTransaction(this.#client, port, txn, timeoutMs)
  }

  close(): void {
    this.#client.close()
  }
}
