// The health of a cluster by the answers of its members: lag, problems, and the exit code of `kv status --all`.

import type { NodeStatus, QuorateError } from '../client/index.ts'
import { EXIT } from './exit-codes.ts'

/** A certificate that ends within this time is a problem. */
const CERTIFICATE_DAYS_MIN = 14
const DAY_MS = 86_400_000

export interface MemberRow {
  readonly name: string | undefined
  readonly url: string
  readonly status: NodeStatus | undefined
  /** Why there is no status. */
  readonly error: QuorateError | undefined
}

/** The conclusions from all answers. */
export interface ClusterHealth {
  /** The answer of the highest term: a node that is cut off may not know yet that its leader was replaced. */
  readonly newest: NodeStatus | undefined
  readonly leader: string | undefined
  readonly problems: readonly string[]
  readonly exitCode: number
  /** Entries that the leader knows as committed and the member has not stored, or not applied. */
  findLag(row: MemberRow): { readonly log: number | undefined; readonly apply: number | undefined }
}

/** `outsiders`: machines that should be members. */
export function clusterHealth(
  rows: readonly MemberRow[],
  outsiders: readonly MemberRow[] = [],
): ClusterHealth {
  const answered = rows.flatMap(({ status }) => status ?? [])
  const newest = [...answered].sort((a, b) => a.term - b.term).at(-1)
  // Not every node of the newest term may know its leader yet.
  const leader = answered.find((node) => node.term === newest?.term && node.leader !== undefined)?.leader
  const leading = answered.find(({ name, role }) => name === leader && role === 'leader')
  const problems = [...rows.flatMap(memberProblems), ...outsiders.map(outsiderProblem)]
  if (leader === undefined)
    problems.push('no node that answers knows a leader: the cluster cannot serve requests')
  return {
    newest,
    leader,
    problems,
    exitCode: leader === undefined ? EXIT.unavailable : problems.length > 0 ? EXIT.failed : EXIT.ok,
    findLag({ name, status }) {
      // 0: this leader has not heard from the member yet.
      const stored = leading?.members.find((member) => member.name === name)?.matchIndex || undefined
      return { log: behind(leading, stored), apply: behind(leading, status?.appliedIndex) }
    },
  }
}

/** The answers are of different moments, so a follower may be ahead. */
const behind = (leading: NodeStatus | undefined, index: number | undefined): number | undefined =>
  leading === undefined || index === undefined ? undefined : Math.max(0, leading.commitIndex - index)

function memberProblems({ name, url, status, error }: MemberRow): string[] {
  if (status === undefined) return [`${name ?? url} does not answer: ${error?.message ?? 'unknown reason'}`]
  const ending = status.certificates.filter(({ expiresInMs }) => expiresInMs < CERTIFICATE_DAYS_MIN * DAY_MS)
  return [
    ...status.errors.map((text) => `${status.name}: ${text}`),
    ...ending.map(({ file, expiresInMs }) =>
      expiresInMs < 0
        ? `${status.name}: ${file} has expired`
        : `${status.name}: ${file} expires in ${ageText(expiresInMs)}`,
    ),
  ]
}

const outsiderProblem = ({ url, status, error }: MemberRow): string =>
  status === undefined
    ? `${url} is named as an endpoint, and no member has this address: ${error?.message ?? 'no answer'}`
    : `${url} is named as an endpoint, and its node ${status.name} is no member`

/** The first certificate of a node that ends. */
export function certificateMs({ status }: MemberRow): number | undefined {
  const times = status?.certificates.map(({ expiresInMs }) => expiresInMs) ?? []
  return times.length === 0 ? undefined : Math.min(...times)
}

/** 5s, 12m, 3h or 90d. */
export function ageText(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`
  return seconds < 2 * 86_400 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}
