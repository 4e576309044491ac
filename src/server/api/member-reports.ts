// Reports of other members for the clients of this node, and those of this node for the others. A status has its form
// of HTTP on the way, metrics are text.

import { StatusDocument } from '../../operations/documents/status.ts'
import { ApiError } from '../../operations/forms/index.ts'
import type { OperationOf } from '../../operations/index.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { ReportKind } from '../node/network.ts'
import { type AnswerTo, NO_HEAD, type Respond } from './answer.ts'
import type { Api } from './api.ts'
import type { Call } from './call.ts'
import { errorOfNode } from './errors.ts'
import { timeLeftMs } from './read-options.ts'
import { describeNode } from './status.ts'

/** How long a node waits for the report of another member. */
const REPORT_MS_MAX = 2_000

/** Requests a report of the member with this name. Calls `done` once, now or later. */
export function requestReport(
  node: Pick<KvNode, 'status' | 'requestReport'>,
  name: string,
  kind: ReportKind,
  call: Pick<Call, 'deadline'>,
  done: (report: Uint8Array | ApiError) => void,
): void {
  const member = node.status().raft.configuration.members.find((each) => each.name === name)
  if (member === undefined) {
    done(new ApiError('not_found', `the cluster has no member ${JSON.stringify(name)}`))
    return
  }
  node.requestReport(member.id, kind, Math.min(REPORT_MS_MAX, timeLeftMs(call)), (result) =>
    done(result.ok ? result.value : errorOfNode(result.problem, true)),
  )
}

/** Executes a request for the status of this node or of another member. */
export function showStatus(
  api: Api,
  { kind, node: name }: OperationOf<'status'>,
  call: Call,
  respond: Respond<AnswerTo<'status'>>,
): void {
  if (name === undefined || name === api.node.name) {
    respond({ kind, result: describeNode(api), head: NO_HEAD })
    return
  }
  requestReport(api.node, name, kind, call, (report) => {
    try {
      if (report instanceof ApiError) respond(report)
      else respond({ kind, result: readStatus(report), head: NO_HEAD })
    } catch (error) {
      respond(api.toApiError(error))
    }
  })
}

/** The status of this node, as another member receives it. */
export const writeStatus = (self: Pick<Api, 'node' | 'version'>): Uint8Array =>
  Buffer.from(StatusDocument.stringify(describeNode(self)))

const readStatus = (report: Uint8Array) =>
  StatusDocument.decode(JSON.parse(Buffer.from(report).toString('utf8')))
