// Lease.LeaseKeepAlive: requests that arrive in one turn are one renewal of their leases.

import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from '../../../etcd/messages/lease.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { RENEW_LEASES_MAX } from '../../../operations/keep-alive.ts'
import type { EtcdCall } from '../call.ts'
import { toGrpcError } from '../errors.ts'
import { decodeLeaseId, encodeSeconds } from '../fields.ts'
import { type RequestReceiver, type Responses, serveDuplex } from '../rpc.ts'

export const leaseKeepAlive = serveDuplex(
  RPC.leaseKeepAlive,
  (call, responses) => new KeepAliveStream(call, responses),
)

/** Requests of one stream that wait for the renewal before theirs. Beyond, no more are read. */
const WAITING_MAX = RENEW_LEASES_MAX
/** The same with those that were read before this was known. A client that sends more ends its stream. */
const READ_MAX = 20 * WAITING_MAX

/** Memory of a request that waits, and of one whose lease is being renewed. */
const REQUEST_BYTES = 32
const RENEWAL_BYTES = 160

class KeepAliveStream implements RequestReceiver<LeaseKeepAliveRequest> {
  readonly #call: EtcdCall
  readonly #responses: Responses<LeaseKeepAliveResponse>
  /** Memory of the requests that wait, and of those whose leases are being renewed. */
  #heldBytes = 0
  #waiting: bigint[] = []
  #renewing = 0
  /** The stream is closed during a renewal, and the node still counts it. */
  #giveBack: (() => void) | undefined
  /** Renewals follow each other, so that responses are in the order of the requests. */
  #isRunning = false
  #isHalfClosed = false

  constructor(call: EtcdCall, responses: Responses<LeaseKeepAliveResponse>) {
    this.#call = call
    this.#responses = responses
  }

  get isBusy(): boolean {
    return this.#waiting.length >= WAITING_MAX
  }

  request({ id }: LeaseKeepAliveRequest): void {
    this.#waiting.push(id)
    if (this.#waiting.length > READ_MAX || !this.#count()) {
      this.#waiting = []
      this.#responses.end(ETCD_ERRORS.tooManyRequests)
      return
    }
    if (this.#isRunning) return
    this.#isRunning = true
    setImmediate(() => void this.#run())
  }

  halfClosed(): void {
    this.#isHalfClosed = true
    if (!this.#isRunning) this.#responses.end()
  }

  closed(): void {
    const renewing = this.#renewing
    this.#waiting = []
    this.#renewing = 0
    this.#count()
    if (renewing > 0) this.#giveBack = this.#call.client.connection.outlive(RENEWAL_BYTES * renewing)
  }

  /** Counts what it holds. Returns false if there is no room for it. */
  #count(): boolean {
    const bytes = REQUEST_BYTES * this.#waiting.length + RENEWAL_BYTES * this.#renewing
    const isHeld = this.#call.client.connection.tryHold(bytes - this.#heldBytes)
    if (isHeld) this.#heldBytes = bytes
    return isHeld
  }

  async #run(): Promise<void> {
    const call = this.#call
    try {
      while (this.#waiting.length > 0 && !call.isOver) {
        const ids = this.#waiting.splice(0, RENEW_LEASES_MAX)
        this.#renewing = ids.length
        if (!this.#count()) throw ETCD_ERRORS.tooManyRequests
        // etcd takes the header before the renewal.
        const header = call.header()
        const ttlsMs = await renew(ids, call)
        this.#renewing = 0
        this.#count()
        // A lease that does not exist has 0, which is no error.
        for (const [at, id] of ids.entries())
          this.#responses.send({ header, id, ttl: encodeSeconds(ttlsMs[at] ?? 0) })
        await this.#responses.drained()
      }
      this.#isRunning = false
      if (this.#isHalfClosed) this.#responses.end()
    } catch (error) {
      this.#responses.end(toGrpcError(call.api, error))
    } finally {
      this.#renewing = 0
      this.#count()
      this.#giveBack?.()
    }
  }
}

/** The times to live of these leases; undefined: there is no such lease. */
async function renew(ids: readonly bigint[], call: EtcdCall): Promise<readonly (number | undefined)[]> {
  const known = ids.filter((id) => id !== 0n)
  if (known.length === 0) return []
  const { result } = await call.execute(
    { kind: 'keep-alive', ids: known.map(decodeLeaseId), one: false },
    { deadline: call.nextDeadline() },
  )
  let at = 0
  return ids.map((id) => (id === 0n ? undefined : result[at++]))
}
